"""The life of a release on a real node: installed as README says, upgraded from 0.1.0, rolled back, uninstalled."""

from __future__ import annotations

import compileall
import json
import os
import py_compile
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from apostille import __version__
from apostille_testbed import Node, binaries
from apostille_testbed.chart import NAMESPACE, RELEASE, HelmError, helm
from apostille_testbed.client import APIError
from apostille_testbed.node import archive, images
from apostille_testbed.progress import Console
from node.scene import KINDS, ROOT, SHORT, apply, pod, ready, refusal, refusers, remove_pods, until

QUICKSTART = ROOT / "examples" / "quickstart"
BEFORE = ROOT / "tests" / "releases" / "0.1.0"
AUDIENCE = "https://aws-prod.sts.example"


@pytest.fixture(scope="module")
def stocked(bare: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The node has the images under the names that the charts and the quickstart have for them by default."""
    node, built = bare, images.images(Console())
    for file in (built.apostille, built.exchange):
        node.load(file)
    # The release before: its wheel wins over the package of the image. Unpacked and compiled, as pip would have it.
    folder = tmp_path_factory.mktemp("images")
    shutil.unpack_archive(BEFORE / "apostille-0.1.0-py3-none-any.whl", folder / "wheel", "zip")
    compileall.compile_dir(folder / "wheel", quiet=1, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    files = {f"/release/{path.relative_to(folder)}": path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    older = folder / "apostille-0.1.0.tar"
    path = {"PYTHONPATH": "/release/wheel", "PATH": "/opt/apostille/bin:/usr/bin:/bin", "USER": "apostille"}
    archive.extend(
        older, built.apostille, "localhost/apostille:0.1.0", files,
        config={"Env": [f"{name}={value}" for name, value in path.items()]},
    )  # fmt: skip
    node.load(older)
    for image, name in (
        (images.APOSTILLE, f"apostille:{__version__}"),
        (images.EXCHANGE, f"apostille-exchange:{__version__}"),
        ("localhost/apostille:0.1.0", "apostille:0.1.0"),
        (images.EXCHANGE, "apostille-exchange:0.1.0"),
        (images.EXCHANGE, "python:3.13-slim"),
    ):
        node.name_image(image, f"docker.io/library/{name}")
    yield node
    remove_pods(node, "payments")


def released(node: Node, *arguments: str | Path) -> str:
    """Helm, about the release. Raises HelmError."""
    return helm(*arguments, f"--namespace={NAMESPACE}", kubeconfig=node.kubeconfig)


def kinds(node: Node) -> list[dict[str, Any]]:
    """The two CustomResourceDefinitions, those that are there."""
    found = json.loads(node.kubectl("get", "crd", *KINDS, "--ignore-not-found", "-o", "json").stdout or "{}")
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
    released(stocked, "uninstall", RELEASE, "--wait", "--timeout=280s")

    assert [crd["metadata"]["annotations"]["helm.sh/resource-policy"] for crd in kinds(stocked)] == ["keep", "keep"]
    assert "s3-reader" in stocked.kubectl("get", "wbind", "--namespace=payments").stdout
    until(lambda: refusal(stocked, "default", "payments", AUDIENCE) == "", "tokens to be free again")

    short = [f"--set={setting}" for setting in SHORT]
    released(stocked, "install", RELEASE, ROOT / "charts" / "apostille", *short, "--wait", "--timeout=280s")
    until(lambda: refusal(stocked, "default", "payments", AUDIENCE) != "", "what was declared to be in force again")
    released(stocked, "uninstall", RELEASE, "--wait", "--timeout=280s")
    stocked.kubectl("delete", "pod,wbind", "--all", "--namespace=payments", "--now")
    stocked.kubectl("delete", "crd", *KINDS, "--timeout=60s")


@contextmanager
def load(node: Node) -> Iterator[list[str]]:
    """Bound pods are created all the time, as dry runs; the list grows by what is refused or left without identity."""
    failed: list[str] = []
    counted, stop = [0], threading.Event()
    wanted = pod("under-load", "payments", "true", serviceAccountName="reader")

    def create() -> None:
        while not stop.is_set():
            counted[0] += 1
            try:
                made = node.client.request("POST", "/api/v1/namespaces/payments/pods?dryRun=All", wanted)
                if "apostille-token-s3-reader" not in json.dumps(made):
                    failed.append(f"{counted[0]}: created without its identity")
            except (APIError, OSError) as error:
                failed.append(f"{counted[0]}: {error}")
            time.sleep(0.1)

    worker = threading.Thread(target=create)
    worker.start()
    try:
        yield failed
    finally:
        stop.set()
        worker.join()
    assert counted[0] > 20


def test_an_upgrade_from_0_1_0_and_the_way_back(stocked: Node) -> None:
    node = stocked
    released(node, "install", RELEASE, BEFORE / "apostille-0.1.0.tgz", "--create-namespace", "--wait", "--timeout=280s")
    before = {crd["metadata"]["name"]: crd["spec"] for crd in kinds(node)}
    node.kubectl("apply", "-f", QUICKSTART)
    node.kubectl("wait", "--for=condition=Ready", "wbind/s3-reader", "--namespace=payments", "--timeout=60s")
    chart = ROOT / "charts" / "apostille"

    # Without a word about the kinds, which belong to no release: refused before anything has changed.
    with pytest.raises(HelmError, match="cannot be imported into the current release"):
        released(node, "upgrade", RELEASE, chart)
    with load(node) as failed:
        released(node, "upgrade", RELEASE, chart, "--take-ownership", "--wait", "--timeout=280s")
        assert failed == []

        upgraded = {crd["metadata"]["name"]: crd["spec"] for crd in kinds(node)}
        assert upgraded != before
        default = upgraded[KINDS[0]]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["default"]
        assert default == {"observedGeneration": -1}
        node.kubectl("wait", "--for=condition=Ready", "wbind/s3-reader", "--namespace=payments", "--timeout=60s")
    assert failed == []

    released(node, "rollback", RELEASE, "1", "--wait", "--timeout=280s")
    assert {crd["metadata"]["name"]: crd["spec"] for crd in kinds(node)} == upgraded, "kinds never go back"
    # The controller that is back does its work: what ends ends, what is declared comes into force.
    assert refusal(node, "reader", "payments", AUDIENCE, pod="app") == ""
    node.kubectl("delete", "wbind", "s3-reader", "--namespace=payments")
    ended = "what was deleted to end"
    until(lambda: refusal(node, "reader", "payments", AUDIENCE, pod="app") != "", ended, within=120.0)
    node.kubectl("apply", "-f", QUICKSTART)
    node.kubectl("wait", "--for=condition=Ready", "wbind/s3-reader", "--namespace=payments", "--timeout=60s")
    apply(node, pod("after", "payments", "sleep", "60", image="python:3.13-slim", serviceAccountName="reader"))
    ready(node, "after", "payments")
    assert "AWS_ROLE_ARN" in environment(node, "after")

    released(node, "uninstall", RELEASE, "--wait", "--timeout=280s")
    until(lambda: refusal(node, "default", "payments", AUDIENCE) == "", "tokens to be free again")
    until(lambda: refusers(node) == [], "what was generated to go")
