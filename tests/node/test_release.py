"""The life of a release on a real node: installed as README says, without drift, uninstalled and installed again."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from apostille import __version__
from apostille_testbed import Node, binaries
from apostille_testbed.chart import NAMESPACE, RELEASE, helm
from apostille_testbed.node import images
from apostille_testbed.progress import Console
from node.scene import ROOT, ready, until

CRDS = ("federationtrusts.apostille.dev", "workloadbindings.apostille.dev")
TOKEN = ("create", "token", "default", "--namespace=payments", "--audience=https://aws-prod.sts.example")


@pytest.fixture(scope="module")
def stocked(node: Node) -> Node:
    """The node has the images under the names that the charts and the quickstart have for them by default."""
    built = images.images(Console())
    for file in (built.apostille, built.exchange):
        node.load(file)
    for image, name in (
        (images.APOSTILLE, f"apostille:{__version__}"),
        (images.EXCHANGE, f"apostille-exchange:{__version__}"),
        (images.EXCHANGE, "python:3.13-slim"),
    ):
        node.name_image(image, f"docker.io/library/{name}")
    return node


def released(node: Node, *arguments: str | Path) -> str:
    """Helm, about the release. Raises HelmError."""
    return helm(*arguments, f"--namespace={NAMESPACE}", kubeconfig=node.kubeconfig)


def kinds(node: Node) -> list[dict[str, Any]]:
    """The two CustomResourceDefinitions, those that are there."""
    found = json.loads(node.kubectl("get", "crd", *CRDS, "--ignore-not-found", "-o", "json").stdout or "{}")
    return list(found.get("items", []))


def environment(node: Node, name: str) -> str:
    """Of the container of a running pod."""
    return node.kubectl("exec", name, "--namespace=payments", "--", "env").stdout


def typed(node: Node, script: str) -> str:
    """A script as somebody types it in the repository, with their kubeconfig; returns what they see."""
    path = os.pathsep.join([str(binaries.helm().parent), str(binaries.kubectl().parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=ROOT,
        env={"PATH": path, "HOME": "/nonexistent", "KUBECONFIG": str(node.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_three_commands_of_readme_lead_to_a_bound_pod(stocked: Node) -> None:
    (_, commands, *_) = re.findall(r"^```\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(commands.splitlines()) == 3

    said = typed(stocked, commands)

    assert "kubectl get ftrust,wbind --all-namespaces" in said  # NOTES: what comes next
    assert "workloadbinding.apostille.dev/s3-reader condition met" in said
    ready(stocked, "app", "payments")
    assert "AWS_ROLE_ARN=arn:aws:iam::123456789012:role/payments-reader" in environment(stocked, "app")


def test_nothing_of_the_chart_shows_as_drift(stocked: Node) -> None:
    """A server-side dry run of what was rendered changes nothing, after Apostille has worked for a while."""
    rendered = released(stocked, "get", "manifest", RELEASE)

    done = stocked.kubectl(
        "diff", "--server-side", "--force-conflicts", "--field-manager=argocd-controller", "-f", "-",
        input=rendered, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_an_uninstall_leaves_what_was_declared_and_an_installation_takes_it_up(stocked: Node) -> None:
    released(stocked, "uninstall", RELEASE, "--wait", "--timeout=120s")

    assert [crd["metadata"]["annotations"]["helm.sh/resource-policy"] for crd in kinds(stocked)] == ["keep", "keep"]
    assert "s3-reader" in stocked.kubectl("get", "wbind", "--namespace=payments").stdout
    until(lambda: stocked.kubectl(*TOKEN, check=False).returncode == 0, "tokens to be free again")

    released(stocked, "install", RELEASE, ROOT / "charts" / "apostille", "--wait", "--timeout=120s")
    until(lambda: stocked.kubectl(*TOKEN, check=False).returncode != 0, "what was declared to be in force again")
    released(stocked, "uninstall", RELEASE, "--wait", "--timeout=120s")
    stocked.kubectl("delete", "pod,wbind", "--all", "--namespace=payments", "--now")
    stocked.kubectl("delete", "crd", *CRDS, "--timeout=60s")
