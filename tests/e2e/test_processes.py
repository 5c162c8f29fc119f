"""Controller, admission, API server and etcd are killed or hang: each comes back, and everything is as it should be."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Iterator

import pytest

from apostille_testbed import APIError, ControlPlane
from apostille_testbed import control_plane as start_control_plane
from apostille_testbed.installation import ADMISSION, CONTROLLER
from e2e.one_apply import binding, namespace, trust, workload
from e2e.world import World, text_of, until, whole
from integration.cluster import injected

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def plane() -> Iterator[ControlPlane]:
    with start_control_plane(controller_manager=True) as plane:
        yield plane


@pytest.fixture(scope="module")
def installed(plane: ControlPlane) -> Iterator[World]:
    with World(plane) as world:
        yield world


@pytest.fixture
def world(installed: World) -> Iterator[World]:
    """With the workload ``old`` in force; whatever a test broke, it works again at the end."""
    installed.settle("old")
    yield installed
    installed.settle(f"after-{secrets.token_hex(3)}")
    assert installed.token("old")


def test_controller_killed(world: World) -> None:
    """Meanwhile the API server goes on as last told; what was declared and ended comes into force afterwards."""
    world.settle("ends")
    world.kill(CONTROLLER)
    name = f"new-{secrets.token_hex(3)}"

    assert world.token("old")
    world.put(*namespace(name, "app"), trust(name, (name, "app")), binding(name, name))
    world.remove(binding("ends", "ends"))
    assert world.token("ends")  # nobody is there to take it back
    world.start_controller()

    until(lambda: world.in_force(name), "what was declared meanwhile is in force")
    until(lambda: not world.token("ends"), "what ended meanwhile is cut off")
    world.put(workload("Pod", name))
    pod = world.get(f"/api/v1/namespaces/{name}/pods/app")
    assert pod is not None
    assert injected(pod)


def test_admission_killed(world: World) -> None:
    """Bound pods are refused and say why, others are not concerned; then the same pod is taken."""
    world.put(*namespace("elsewhere", "app"))
    world.kill(ADMISSION)

    began = time.monotonic()
    world.put(workload("Pod", "elsewhere", name=f"p-{secrets.token_hex(3)}"))
    assert time.monotonic() - began < 5
    name = f"again-{secrets.token_hex(3)}"
    refused = world.plane.kubectl("apply", "-f", "-", input=text_of([workload("Pod", "old", name=name)]), check=False)
    assert "bound-workloads.apostille.dev" in refused.stderr
    world.start_admission()

    def taken() -> bool:
        done = world.plane.kubectl("apply", "-f", "-", input=text_of([workload("Pod", "old", name=name)]), check=False)
        return done.returncode == 0

    until(taken, "the pod is taken")
    pod = world.get(f"/api/v1/namespaces/old/pods/{name}")
    assert pod is not None
    assert injected(pod)


def test_both_killed_and_started_in_the_wrong_order(world: World) -> None:
    world.kill(CONTROLLER, ADMISSION)
    world.start_controller()
    until(lambda: world.controller("/livez")[0] == 200, "the controller lives without an admission server")
    selected = world.selected()["Fail"]
    until(lambda: "apostille-controller" in world.log(CONTROLLER), "it has begun")

    assert ("old", "app") in selected  # nothing is let go because nobody answers
    world.start_admission()


@pytest.mark.parametrize("grace", [0.0, 2.0], ids=["killed", "stopped"])
def test_api_server_restarted(world: World, grace: float) -> None:
    """Under a running controller and admission server; no process of Apostille's has to be started again."""
    with world.goes_on():
        world.plane.restart_apiserver(grace)

        name = f"restart-{secrets.token_hex(3)}"
        world.settle(name)
        world.remove(binding(name, name))
        until(lambda: not world.token(name), "the binding's end is noticed")


def test_api_server_away_for_longer_than_a_lease(world: World) -> None:
    """The controller must assume that another leads, ends, and is started again by its kubelet."""
    first, lost = world.process(CONTROLLER).pid, world.leases_lost()
    with world.kubelet():
        world.plane.stop_apiserver(0)
        until(lambda: world.process(CONTROLLER).pid != first, "the controller has given up its lease")
        world.plane.start_apiserver()

        world.settle(f"away-{secrets.token_hex(3)}")

    assert world.leases_lost() > lost
    assert "Traceback" not in world.log(CONTROLLER)


def test_etcd_killed(world: World) -> None:
    with world.kubelet():
        world.plane.restart_etcd()

        world.settle(f"etcd-{secrets.token_hex(3)}")


def test_etcd_hangs(world: World) -> None:
    """The API server answers with errors and time-outs for twenty seconds, as without a leader in etcd."""
    etcd = world.plane.describe()["processes"]["etcd"]
    with world.kubelet():
        os.kill(etcd, signal.SIGSTOP)
        try:
            time.sleep(20)
        finally:
            os.kill(etcd, signal.SIGCONT)

        world.settle(f"etcd-{secrets.token_hex(3)}")


def test_controller_frozen_and_thawed(world: World) -> None:
    """It stands still for longer than its lease and goes on: it must not write what it knew, but start anew."""
    with world.kubelet():
        world.freeze(CONTROLLER)
        first = world.process(CONTROLLER)
        name = f"frozen-{secrets.token_hex(3)}"
        world.plane.kubectl("apply", "-f", "-", input=text_of(whole(name)[:-1]), check=False)
        time.sleep(16)
        world.thaw(CONTROLLER)

        until(lambda: not first.running, "the controller that stood still has ended")
        until(lambda: world.in_force(name), "its successor does the work")


def test_admission_frozen(world: World) -> None:
    """Connections are taken and never answered: bound pods are refused within the webhook's time, then go through."""
    world.freeze(ADMISSION)
    try:
        began = time.monotonic()
        pod = workload("Pod", "old", name=f"hang-{secrets.token_hex(3)}")
        with pytest.raises(APIError):
            world.plane.client.request("POST", "/api/v1/namespaces/old/pods", pod)
        assert time.monotonic() - began < 25
    finally:
        world.thaw(ADMISSION)
