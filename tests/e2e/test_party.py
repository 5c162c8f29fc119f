"""The relying party is away when a pod starts, and while it runs; the pod has its credentials when it is back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apostille_testbed import ControlPlane, control_plane
from apostille_testbed.installation import NAMESPACE
from apostille_testbed.parties.aws import AWSParty
from apostille_testbed.pods import PodRunner, Route, pod_runner, standard_images
from e2e.one_apply import arn, binding, workload
from e2e.world import World, until, whole

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.usefixtures("isolation")]

ASK = """
import boto3, time
while True:
    try:
        print("I am", boto3.client("sts", "eu-west-1").get_caller_identity()["Arn"], flush=True)
    except Exception as error:
        print("not now:", type(error).__name__, flush=True)
    time.sleep(0.5)
"""


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with control_plane(controller_manager=True) as plane:  # which gives each namespace what its pods mount
        yield plane


@pytest.fixture(scope="module")
def aws(plane: ControlPlane) -> Iterator[AWSParty]:
    party = AWSParty()
    party.resolve(plane.issuer, plane.url, plane.ca)
    yield party
    party.close()


@pytest.fixture(scope="module")
def node(plane: ControlPlane, aws: AWSParty) -> Iterator[PodRunner]:
    with pod_runner(plane, images=standard_images(aws.ca), routes=[Route.to_party(aws)]) as node:
        yield node


@pytest.mark.parametrize("mode", ["SDK", "Sidecar"])
def test_party_away_at_the_start_and_in_between(world: World, aws: AWSParty, node: PodRunner, mode: str) -> None:
    """Unmodified boto3 in a pod; the party takes over what the controller has rendered."""
    name = f"party-{mode.lower()}"
    declared = whole(name)
    bound = binding(name, name)
    bound["spec"]["delivery"] = {"mode": mode}
    aws.stop()
    world.put(*declared[:3], bound)
    until(lambda: world.in_force(name), "it is in force, whether the party is there or not")
    rendered = world.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/apostille-access-{name}")
    assert rendered is not None
    aws.iam.load_files(rendered["data"], name)
    pod = workload("Pod", name)
    pod["spec"]["containers"] = [{"name": "app", "image": "any", "command": ["python", "-c", ASK]}]
    world.put(pod)

    until(lambda: asks(world, node, name), "it asks in vain")
    assert "I am" not in said(node, name)
    aws.start()
    until(
        lambda: f"{arn('r').replace('iam', 'sts').replace(':role/', ':assumed-role/')}/" in said(node, name),
        "it is who",
    )

    aws.stop()
    heard = len(said(node, name))
    until(lambda: "not now" in said(node, name)[heard:], "it notices")
    aws.start()
    heard = len(said(node, name))
    until(lambda: "I am" in said(node, name)[heard:], "it goes on")


def test_a_namespace_goes_while_its_party_is_away(world: World, aws: AWSParty, node: PodRunner) -> None:
    """Nothing of it waits for the party: no finalizer, no sidecar that does not end; the trust has no bindings then."""
    name = "party-gone"
    declared = whole(name)
    bound = binding(name, name)
    bound["spec"]["delivery"] = {"mode": "Sidecar"}
    aws.stop()
    try:
        world.put(*declared[:3], bound)
        until(lambda: world.in_force(name), "it is in force, whether the party is there or not")
        pod = workload("Pod", name)
        pod["spec"] |= {"terminationGracePeriodSeconds": 1}
        pod["spec"]["containers"] = [{"name": "app", "image": "any", "command": ["python", "-c", ASK]}]
        world.put(pod)
        until(lambda: asks(world, node, name), "its sidecar asks in vain")

        world.plane.kubectl("delete", "namespace", name, "--timeout=90s")

        until(lambda: (name, "app") not in world.selected()["Fail"], "nothing is bound there")
        until(lambda: world.conditions("federationtrusts", name).get("Ready") == "Ready", "the trust has no bindings")
    finally:
        aws.start()


@pytest.fixture(scope="module")
def world(plane: ControlPlane) -> Iterator[World]:
    with World(plane) as world:
        yield world


def asks(world: World, node: PodRunner, name: str) -> bool:
    """The application says so; where it waits for the sidecar, that runs and is not ready."""
    pod = world.get(f"/api/v1/namespaces/{name}/pods/app") or {}
    sidecars = pod["status"].get("initContainerStatuses") or ()
    return "not now" in said(node, name) or any("running" in one["state"] and not one["started"] for one in sidecars)


def said(node: PodRunner, name: str) -> str:
    try:
        return node.logs(name, "app", "app")
    except (KeyError, LookupError, OSError):
        return ""  # not started yet
