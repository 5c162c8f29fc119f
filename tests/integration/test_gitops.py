"""``examples/gitops`` applied as it is, the way Argo CD and Flux apply: it becomes healthy, and stays without drift."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apostille.model import names
from apostille_testbed import binaries
from gitops import kstatus
from integration.cluster import Cluster
from integration.plain_client import pod, until

pytestmark = pytest.mark.integration
REPOSITORY = Path(__file__).parents[2] / "examples" / "gitops"
FOLDERS = ("platform", "teams/payments", "teams/shop")
KINDS = "federationtrusts,workloadbindings"
OURS = names.EVERYTHING_MANAGED
# The example's cluster; the testbed's has an address of its own.
ISSUER = "https://oidc.prod.example"
UPDATE = os.environ.get("APOSTILLE_UPDATE_GOLDEN") == "1"


def kustomize(folder: str) -> str:
    """What a folder says, as both tools build it."""
    return subprocess.run(
        [binaries.kubectl(), "kustomize", REPOSITORY / folder], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def declared(cluster: Cluster) -> list[dict[str, Any]]:
    """All trusts and bindings of the example as they are stored."""
    found: list[dict[str, Any]] = []
    for folder in FOLDERS:
        text = kustomize(folder)
        objects = json.loads(cluster.kubectl("get", "-f", "-", "-o", "json", input=text).stdout)
        found += [one for one in objects.get("items", [objects]) if one["apiVersion"].startswith("apostille.dev/")]
    return found


def apply(cluster: Cluster, manager: str) -> None:
    """Everything in one go, under the field manager of a tool."""
    text = "---\n".join(kustomize(folder) for folder in FOLDERS)
    cluster.kubectl("apply", "--server-side", "--force-conflicts", f"--field-manager={manager}", "-f", "-", input=text)


@pytest.fixture(scope="module")
def healthy(cluster: Cluster) -> Iterator[None]:
    """Applied once, in force, and with a pod of each team."""
    apply(cluster, "argocd-controller")
    until(lambda: all(kstatus.status(one) == "Current" for one in declared(cluster)), "all that is declared", 0.2)
    cluster.api.ensure(pod("payments", "of-reader", "reader"), pod("shop", "of-images", "images"))
    until(
        lambda: sum(one["status"].get("pods", {}).get("injected", 0) for one in declared(cluster)) == 2,
        "both pods to be counted",
        0.2,
    )
    yield
    for namespace in ("payments", "shop"):
        cluster.kubectl("delete", "pod", "--all", f"--namespace={namespace}", "--now", "--wait=false")
        cluster.kubectl("delete", "wbind", "--all", f"--namespace={namespace}")
    cluster.kubectl("delete", "ftrust", "aws-prod", "vault-prod")


@pytest.fixture(scope="module", params=["argocd-controller", "kustomize-controller"])
def applied(cluster: Cluster, healthy: None, request: pytest.FixtureRequest) -> str:
    """Argo CD applies it, and then Flux, which takes it over."""
    apply(cluster, request.param)
    return str(request.param)


def test_nothing_shows_as_drift(cluster: Cluster, applied: str) -> None:
    """A server-side dry run of what lies in Git changes nothing: what both tools compare with."""
    for folder in FOLDERS:
        done = cluster.kubectl(
            "diff", "--server-side", "--force-conflicts", f"--field-manager={applied}", "-f", "-",
            input=kustomize(folder), check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_what_apostille_makes_is_nobodys_to_prune(cluster: Cluster, applied: str) -> None:
    """It has an owner, and no mark by which Argo CD (label, annotation) or Flux (labels) know what they made."""
    group = "admissionregistration.k8s.io"
    everything = (
        f"mutatingwebhookconfigurations.{group},validatingwebhookconfigurations.{group},"
        f"validatingadmissionpolicies.{group},validatingadmissionpolicybindings.{group},configmaps"
    )
    made = json.loads(cluster.kubectl("get", everything, "-A", f"--selector={OURS}", "-o", "json").stdout)["items"]

    assert {one["kind"] for one in made} >= {"MutatingWebhookConfiguration", "ValidatingAdmissionPolicy", "ConfigMap"}
    for one in made:
        metadata = one["metadata"]
        marks = {*metadata.get("labels", {}), *metadata.get("annotations", {})}
        assert metadata["ownerReferences"], metadata["name"]
        assert not [mark for mark in marks if "argocd" in mark or "fluxcd" in mark or mark.endswith("/instance")]


def test_no_spec_has_another_writer(cluster: Cluster, applied: str) -> None:
    for one in declared(cluster):
        stored = json.loads(
            cluster.kubectl(
                "get", one["kind"].lower(), one["metadata"]["name"], "-n", one["metadata"].get("namespace", "default"),
                "-o", "json", "--show-managed-fields",
            ).stdout
        )  # fmt: skip
        writers = {entry["manager"] for entry in stored["metadata"]["managedFields"] if "f:spec" in entry["fieldsV1"]}
        assert {applied} <= writers <= {"argocd-controller", "kustomize-controller"}


@pytest.mark.parametrize("trust", ["aws-prod", "vault-prod"])
def test_the_rendered_access_is_what_lies_in_git(cluster: Cluster, applied: str, trust: str) -> None:
    """After an intended change, rewrite it with ``APOSTILLE_UPDATE_GOLDEN=1``."""
    folder = REPOSITORY / "platform" / "rendered" / trust
    path = f"configmap/apostille-access-{trust}"
    stored = json.loads(cluster.kubectl("get", path, "-n", "apostille-system", "-o", "json").stdout)["data"]
    issuer = cluster.installation.control_plane.issuer
    hosts = ((issuer, ISSUER), (issuer.removeprefix("https://"), ISSUER.removeprefix("https://")))
    rendered = {name: _replaced(text, hosts) for name, text in stored.items()}
    if UPDATE:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in rendered.items():
            (folder / name).write_text(text)

    assert {file.name: file.read_text() for file in folder.iterdir()} == rendered


def _replaced(text: str, pairs: tuple[tuple[str, str], ...]) -> str:
    for old, new in pairs:
        text = text.replace(old, new)
    return text


def test_the_pipelines_check_passes(tmp_path: Path) -> None:
    """With the tools that its workflow has: kubectl, and Apostille's command line."""
    command = tmp_path / "apostille"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m apostille.cli.main "$@"\n')
    command.chmod(0o755)
    path = os.pathsep.join([str(tmp_path), str(binaries.kubectl().parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY.parents[1] / "operator")}
    done = subprocess.run(
        [REPOSITORY / "check"], capture_output=True, text=True, check=False, timeout=120, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()[:3]] == list(FOLDERS)
    assert "no findings" in done.stdout + done.stderr
    assert "not judged" not in done.stdout + done.stderr
