"""The container as the webhook injects it, in a pod with a kubelet's volumes, at the strict STS under its own name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonpatch
import pytest

import builders
from apostille.core.inject import inject
from apostille.core.settings import InjectionSettings
from apostille.model import names
from apostille_exchange.recipe import Plan, Recipe, dumps, loads
from apostille_testbed import ControlPlane, party
from apostille_testbed.parties.aws import AWSParty
from apostille_testbed.pods import PodRunner, Route, standard_images
from testbed.pod_runner_scene import SLEEP, Scene, scene, until

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("isolation")]
BINDING = "s3-files"
FILE = f"{names.credentials_directory(BINDING)}/credentials"
ROLE = builders.role("payments-reader")
CALLER = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
# Every container of a pod sees the pod's processes.
KILL = """
import os, signal
for pid in filter(str.isdecimal, os.listdir('/proc')):
    try: words = open(f'/proc/{pid}/cmdline').read()
    except OSError: continue
    if 'apostille_exchange' in words and '--admission' in words: os.kill(int(pid), signal.SIGKILL)
"""


@pytest.fixture
def world(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Scene]:
    with scene(control_plane, namespace, tmp_path / "node") as made:
        yield made


@pytest.fixture
def aws(world: Scene) -> Iterator[AWSParty]:
    plane = world.control_plane
    host = plane.issuer.removeprefix("https://")
    subject = f"system:serviceaccount:{world.namespace}:reader"
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::{builders.ACCOUNT}:oidc-provider/{host}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{host}:aud": builders.AUDIENCE, f"{host}:sub": [subject]}},
    }
    document = {"Version": "2012-10-17", "Statement": [statement]}
    with party("aws", account=builders.ACCOUNT) as running:
        running.resolve(plane.issuer, plane.url, plane.ca)
        running.iam.apply_provider({"Url": plane.issuer, "ClientIDList": [builders.AUDIENCE]})
        running.iam.apply_role({"RoleName": "payments-reader", "Path": "/", "AssumeRolePolicyDocument": document})
        yield running


@pytest.fixture
def runner(world: Scene, aws: AWSParty) -> Iterator[PodRunner]:
    with world.runner(images=standard_images(aws.ca), routes=[Route.to_party(aws)], backoff=0.2) as made:
        yield made


def injected(world: Scene, **security: Any) -> dict[str, Any]:
    """A pod that the webhook's own function has given the binding."""
    app = {"name": "app", "image": "example.com/app:1", "command": ["sh", "-c", SLEEP]}
    raw = builders.pod(app, securityContext=security, automountServiceAccountToken=False)
    raw["metadata"] = {"name": "p", "namespace": world.namespace}
    plan = builders.plan(builders.sidecar(BINDING, namespace=world.namespace))
    made = inject(raw, [plan], InjectionSettings())
    assert not made.denial
    patched: dict[str, Any] = jsonpatch.apply_patch(raw, [dict(operation) for operation in made.operations])
    return patched


def carry(world: Scene, recipe: Recipe) -> None:
    """What the controller does to a running pod that follows its binding."""
    annotation = world.pod("p")["metadata"]["annotations"][names.PLAN_ANNOTATION]
    text = dumps(Plan(loads(annotation).digests, {BINDING: recipe}))
    world.call("PATCH", world.core("pods", "p"), {"metadata": {"annotations": {names.PLAN_ANNOTATION: text}}})


def said(runner: PodRunner, world: Scene) -> list[dict[str, Any]]:
    """The sidecar's log."""
    text = runner.logs(world.namespace, "p", names.EXCHANGE_CONTAINER)
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


@pytest.mark.parametrize(
    ("security", "mode"),
    [
        ({"runAsUser": 1000, "runAsNonRoot": True}, "600"),
        ({"runAsUser": 0}, "644"),
        ({"fsGroup": 2000}, "640"),
    ],
)
def test_the_application_reads_its_credential_and_follows_its_binding(
    runner: PodRunner, world: Scene, aws: AWSParty, security: dict[str, Any], mode: str
) -> None:
    world.create(injected(world, **security))
    assert runner.wait(world.namespace, "p", "Ready") is not None

    def app(*argv: str) -> str:
        return runner.execute(world.namespace, "p", "app", argv).stdout.strip()

    session = f"arn:aws:sts::{builders.ACCOUNT}:assumed-role/payments-reader/{world.namespace}.{BINDING}"
    assert app("python", "-c", CALLER) == session
    assert app("stat", "-c", "%a", FILE) == mode
    assert app("ls", names.TOKENS_DIRECTORY) == ""
    carry(world, Recipe(BINDING, ended=True))
    until(lambda: app("sh", "-c", f"test -e {FILE} || echo gone") == "gone", "the credential is dropped")
    asked = len(aws.exchanges)
    carry(world, Recipe(BINDING, {"roleARN": ROLE, "roleSessionName": "again"}, 900))
    until(lambda: app("python", "-c", CALLER).endswith("/again"), "the credential is back")
    assert len(aws.exchanges) == asked + 1


def test_a_killed_sidecar_comes_back_while_its_party_is_away(runner: PodRunner, world: Scene, aws: AWSParty) -> None:
    world.create(injected(world, runAsUser=1000, runAsNonRoot=True))
    assert runner.wait(world.namespace, "p", "Ready") is not None
    before = runner.execute(world.namespace, "p", "app", ["cat", FILE]).stdout
    aws.stop()
    runner.execute(world.namespace, "p", "app", ["python", "-c", KILL])

    def restarted() -> bool:
        (told,) = world.pod("p")["status"]["initContainerStatuses"]
        return told["restartCount"] == 1 and bool(told["started"])

    until(restarted, "the container is started again and its probe succeeds")
    assert runner.execute(world.namespace, "p", "app", ["cat", FILE]).stdout == before
    until(lambda: "goes on with the credential" in str(said(runner, world)), "it says so")


@pytest.mark.parametrize(("mode", "container"), [("Init", names.INIT_CONTAINER), ("Sidecar", names.EXCHANGE_CONTAINER)])
def test_a_job_has_its_credential_and_ends(
    runner: PodRunner, world: Scene, aws: AWSParty, mode: str, container: str
) -> None:
    app = {"name": "app", "image": "example.com/app:1", "command": ["python", "-c", CALLER]}
    raw = builders.pod(app, restartPolicy="Never", automountServiceAccountToken=False)
    raw["metadata"] = {"name": "p", "namespace": world.namespace}
    plan = builders.plan(builders.sidecar(BINDING, namespace=world.namespace, delivery={"mode": mode}))
    made = inject(raw, [plan], InjectionSettings())
    world.create(jsonpatch.apply_patch(raw, [dict(operation) for operation in made.operations]))
    done = runner.wait(
        world.namespace, "p", lambda pod: (pod or {}).get("status", {}).get("phase") in ("Succeeded", "Failed")
    )
    log = runner.logs(world.namespace, "p", "app")
    assert done is not None
    assert done["status"]["phase"] == "Succeeded", log
    session = f"arn:aws:sts::{builders.ACCOUNT}:assumed-role/payments-reader/{world.namespace}.{BINDING}"
    assert log.strip() == session
    assert [told["name"] for told in done["status"]["initContainerStatuses"]] == [container]
    assert [one.code for one in aws.exchanges] == ["OK"]
