"""Unmodified clients in pods: they find their party by the vendor's names, and have what their image says, no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apostille_exchange import recipe
from apostille_testbed import ControlPlane, party
from apostille_testbed.parties.aws import AWSParty
from apostille_testbed.pods import PodRunner, Route, standard_images
from testbed.pod_runner_scene import Scene, container, pod, scene, token_volume
from testbed.strict_sts_world import ACCOUNT

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("isolation")]
AUDIENCE = "https://aws-prod.sts.example"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/payments-reader"
TOKEN = "/var/run/secrets/apostille.dev/s3"
# Through the bucket's own host name, as an SDK does by default.
LISTING = """
import boto3
for item in boto3.client("s3").list_objects_v2(Bucket="invoices")["Contents"]:
    print(item["Key"])
"""


@pytest.fixture
def world(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Scene]:
    with scene(control_plane, namespace, tmp_path / "node") as made:
        yield made


@pytest.fixture
def aws(world: Scene) -> Iterator[AWSParty]:
    """An account whose role trusts the service account `reader`, with a bucket for it."""
    plane = world.control_plane
    host = plane.issuer.removeprefix("https://")
    subject = f"system:serviceaccount:{world.namespace}:reader"
    with party("aws", account=ACCOUNT) as running:
        running.resolve(plane.issuer, plane.url, plane.ca)
        running.iam.apply_provider({"Url": plane.issuer, "ClientIDList": [AUDIENCE]})
        statement = {
            "Effect": "Allow",
            "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{host}"},
            "Action": "sts:AssumeRoleWithWebIdentity",
            "Condition": {"StringEquals": {f"{host}:aud": AUDIENCE, f"{host}:sub": [subject]}},
        }
        document = {"Version": "2012-10-17", "Statement": [statement]}
        running.iam.apply_role({"RoleName": "payments-reader", "Path": "/", "AssumeRolePolicyDocument": document})
        running.create_bucket("invoices", {"november.pdf": b"42"})
        running.iam.permit("payments-reader", ["invoices"])
        yield running


@pytest.fixture
def runner(world: Scene, aws: AWSParty) -> Iterator[PodRunner]:
    with world.runner(images=standard_images(aws.ca), routes=[Route.to_party(aws)]) as made:
        yield made


def _ended(found: dict[str, Any] | None) -> bool:
    return (found or {}).get("status", {}).get("phase") in ("Succeeded", "Failed")


def _application(script: str, *mounts: tuple[str, str], **more: Any) -> dict[str, Any]:
    made = container("app", "", *mounts, **more)
    return {**made, "image": "example.com/reader:1", "command": ["python", "-c", script]}


def test_boto3_exchanges_the_pods_token_and_lists_a_bucket(runner: PodRunner, world: Scene, aws: AWSParty) -> None:
    environment = [
        {"name": "AWS_ROLE_ARN", "value": ROLE},
        {"name": "AWS_WEB_IDENTITY_TOKEN_FILE", "value": f"{TOKEN}/token"},
        {"name": "AWS_REGION", "value": "eu-west-1"},
        {"name": "AWS_DEFAULT_REGION", "value": "eu-west-1"},
        {"name": "AWS_STS_REGIONAL_ENDPOINTS", "value": "regional"},
    ]
    app = _application(LISTING, ("token", TOKEN), env=environment)
    world.create(pod("p", app, volumes=[token_volume(AUDIENCE)], restartPolicy="Never"))

    runner.wait(world.namespace, "p", _ended)

    assert runner.logs(world.namespace, "p", "app") == "november.pdf\n"
    subject = f"system:serviceaccount:{world.namespace}:reader"
    assert [(item.code, item.subject) for item in aws.exchanges] == [("OK", subject)]


def test_a_container_has_the_environment_of_its_image_and_spec_only(
    runner: PodRunner, world: Scene, aws: AWSParty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the runner's own")
    script = "import json, os; print(*sorted(os.environ)); print(os.environ['AWS_CA_BUNDLE'])"
    world.create(pod("p", _application(script), restartPolicy="Never"))

    runner.wait(world.namespace, "p", "Succeeded")

    names, bundle = runner.logs(world.namespace, "p", "app").splitlines()
    system = ["HOME", "HOSTNAME", "LANG", "PATH"]
    service = ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"]
    assert set(names.split()) == {"AWS_CA_BUNDLE", "SSL_CERT_FILE", *system, *service}
    assert bundle == str(aws.ca)


def test_the_exchange_sidecar_writes_a_file_that_boto3_reads(runner: PodRunner, world: Scene, aws: AWSParty) -> None:
    folder = "/var/run/apostille.dev"
    output = recipe.Output(f"{folder}/s3/credentials", "aws-credentials")
    endpoint = "https://sts.eu-west-1.amazonaws.com/"
    admissions = [recipe.Admission("s3", "AWSWebIdentity", endpoint, AUDIENCE, f"{TOKEN}/token", (output,), 3600)]
    order = recipe.Recipe("s3", {"roleARN": ROLE, "roleSessionName": "payments.s3"})
    plan = recipe.dumps(recipe.Plan({"s3": "0123456789abcdef"}, {"s3": order}))
    side = {
        "name": "exchange",
        "image": "apostille-exchange:dev",
        "args": recipe.run_arguments(admissions, "/etc/apostille.dev/plan"),
        "restartPolicy": "Always",
        "startupProbe": {"exec": {"command": recipe.ready_arguments(admissions)}, "periodSeconds": 1},
        "securityContext": {"runAsNonRoot": True, "readOnlyRootFilesystem": True},
        "volumeMounts": [
            {"name": "token", "mountPath": TOKEN, "readOnly": True},
            {"name": "plan", "mountPath": "/etc/apostille.dev", "readOnly": True},
            {"name": "credentials", "mountPath": folder},
        ],
    }
    item = {"path": "plan", "fieldRef": {"fieldPath": "metadata.annotations['apostille.dev/plan']"}}
    volumes = [
        token_volume(AUDIENCE),
        {"name": "plan", "downwardAPI": {"items": [item]}},
        {"name": "credentials", "emptyDir": {"medium": "Memory", "sizeLimit": "4Mi"}},
    ]
    environment = [
        {"name": "AWS_SHARED_CREDENTIALS_FILE", "value": output.path},
        {"name": "AWS_REGION", "value": "eu-west-1"},
        {"name": "AWS_DEFAULT_REGION", "value": "eu-west-1"},
    ]
    app = _application(LISTING, ("credentials", folder), env=environment)
    annotations = {"apostille.dev/plan": plan}
    spec = {"initContainers": [side], "volumes": volumes, "restartPolicy": "Never"}
    world.create(pod("p", app, annotations=annotations, **spec))

    done = runner.wait(world.namespace, "p", _ended)

    assert runner.logs(world.namespace, "p", "app") == "november.pdf\n"
    assert [item.code for item in aws.exchanges] == ["OK"]
    assert done is not None
    assert done["status"]["phase"] == "Succeeded"
    assert done["status"]["initContainerStatuses"][0]["restartCount"] == 0


def test_the_exchange_image_has_its_program_and_runs_as_nobody(runner: PodRunner, world: Scene) -> None:
    script = "id -u; apostille-exchange --help | grep ^usage"
    app = {**container("app", script), "image": "apostille-exchange:dev", "securityContext": {"runAsNonRoot": True}}
    world.create(pod("p", app, restartPolicy="Never"))

    runner.wait(world.namespace, "p", _ended)

    user, usage = runner.logs(world.namespace, "p", "app").splitlines()
    assert user == "65532"
    assert usage.startswith("usage: apostille-exchange run")


def test_a_route_that_is_added_later_is_there_for_later_pods(world: Scene, aws: AWSParty) -> None:
    script = "import socket; socket.create_connection(('late.s3.eu-west-1.amazonaws.com', 443)); print('connected')"
    with world.runner(images=standard_images(aws.ca), routes=[Route.to_party(aws)]) as runner:
        aws.create_bucket("late")
        runner.add_routes(Route.to_party(aws))
        world.create(pod("p", _application(script), restartPolicy="Never"))

        runner.wait(world.namespace, "p", "Succeeded")

        assert runner.logs(world.namespace, "p", "app") == "connected\n"
