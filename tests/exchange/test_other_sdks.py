"""The AWS SDKs for Go and for JavaScript ask a sidecar's endpoint, told nothing but the variables of a pod."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from apostille_exchange.recipe import Output, Serve
from apostille_testbed.parties.aws import callers
from apostille_testbed.progress import Console, Say
from exchange.scene import PodFiles, ended, recipe
from exchange.sidecar_process import Sidecar, until
from exchange.test_process import free_port
from testbed.strict_sts_world import ACCOUNT, AUDIENCE, ROLE, World, role, world

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

WRITER = ROLE.replace("payments-reader", "payments-writer")


@pytest.fixture(scope="module")
def sts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("sts")) as running:
        running.aws.iam.apply_role(role("payments-writer"))
        yield running


class Scene:
    """A sidecar with an endpoint, and what its pod's containers have in their environment."""

    def __init__(self, sts: World, directory: Path) -> None:
        self.files = PodFiles(directory)
        folder, port = self.files.credentials / "s3-files", free_port()
        self.files.put_plan(recipe(role=ROLE))
        self.files.put_token(sts.token())
        admission = self.files.admission(
            endpoint=sts.aws.url + "/",
            ca=str(sts.aws.ca),
            audience=AUDIENCE,
            serves=(Serve("aws", port, str(folder / "authorization")),),
            outputs=(Output(str(folder / ".kept"), "kept", 0o600),),
        )
        self.sidecar = Sidecar(self.files, [admission])
        until(self.sidecar.ready, "the first credential")
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"http://127.0.0.1:{port}/s3-files/aws",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(folder / "authorization"),
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REGION": "eu-west-1",
            "AWS_ENDPOINT_URL": sts.aws.url,
            "AWS_CA_BUNDLE": str(sts.aws.ca),
            "NODE_EXTRA_CA_CERTS": str(sts.aws.ca),
        }

    def call(self, argv: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(argv, env=self.environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def scene(sts: World, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(sts, tmp_path)
    yield made
    if made.sidecar.running():
        made.sidecar.end(signal.SIGKILL)


@pytest.mark.parametrize("build", [callers.go, callers.node], ids=["go", "node"])
def test_an_sdk_has_its_identity_through_renewals_and_none_after_the_end(
    scene: Scene, build: Callable[[Say], list[str] | None]
) -> None:
    argv = build(Console())
    assert argv is not None, "there is no Node.js on this machine"
    session = "payments.s3-files"
    first = scene.call(argv)
    assert first.stdout.strip() == f"arn:aws:sts::{ACCOUNT}:assumed-role/payments-reader/{session}", first.stderr

    results: list[subprocess.CompletedProcess[str]] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            results.append(scene.call(argv))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    deadline, renewals = time.monotonic() + 120, 0
    while (len(results) < 8 or renewals < 4) and time.monotonic() < deadline:
        # Another target or length is another credential; the one before bridges until it is there.
        scene.files.put_plan(recipe(role=(WRITER, ROLE)[renewals % 2], seconds=1000 + renewals))
        renewals += 1
        before = len(scene.sidecar.said("Exchanged"))
        until(lambda before=before: len(scene.sidecar.said("Exchanged")) > before, "it is renewed")  # type: ignore[misc]
    stop.set()
    for thread in threads:
        thread.join(120)
    assert [result.stderr for result in results if result.returncode] == []
    assert len(results) >= 8
    assert {result.stdout.rpartition("role/")[2].partition("/")[0] for result in results} <= {
        "payments-reader",
        "payments-writer",
    }

    scene.files.put_plan(ended())
    until(lambda: "binding has ended" in scene.sidecar.output(), "the binding ends")
    after = scene.call(argv)
    assert after.returncode != 0
    assert "arn:" not in after.stdout
    secret = Path(scene.environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]).read_text()
    assert secret not in scene.sidecar.output()
