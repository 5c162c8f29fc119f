"""Processes end, asked or by force, under load; the certificate's Secret is lost or damaged; a write comes late."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from apostille_testbed import APIError, control_plane
from apostille_testbed.installation import ADMISSION, CONTROLLER
from e2e.one_apply import binding, workload
from e2e.proxy import Proxy, proxy
from e2e.replicated import SECRET, Json, Replicated, load, terminate
from e2e.world import ADMISSION_GROUP, SECOND, World, until
from integration.cluster import injected

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ONE, TWO = f"{ADMISSION}-1", f"{ADMISSION}-2"
KINDS = f"{ADMISSION_GROUP}/validatingwebhookconfigurations/apostille-kinds"


@pytest.fixture(scope="module")
def installed() -> Iterator[Replicated]:
    with control_plane() as plane, Replicated(plane) as world:
        world.settle("busy")
        yield world


@pytest.fixture
def world(installed: Replicated) -> Iterator[Replicated]:
    """At the end of a test everything runs and is at rest."""
    installed.rest()
    yield installed
    for name in installed.ports:
        if not installed.process(name).running:
            installed.start_replica(name)
    if not installed.process(CONTROLLER).running:
        installed.start_controller()
    installed.rest()


def some(found: Any, more: int = 20) -> None:
    """A little more of the load."""
    done = found.done
    until(lambda: found.done >= done + more, "the load goes on")


def test_admission_servers_restarted_one_by_one_lose_no_call(world: Replicated) -> None:
    """SIGTERM, as in a rollout or a drain: not ready, serving on, then gone; its connections end after an answer."""
    with load(world, "busy") as found:
        for name in world.ports:
            some(found)
            began = time.monotonic()
            assert terminate(world.process(name)) == 0
            assert time.monotonic() - began > 1.5  # it has served on
            some(found)
            world.start_replica(name)
        some(found)

    print(f"\nboth admission servers restarted: {found}")
    assert found.failed == []


def test_an_admission_server_that_is_told_to_stop_says_so(world: Replicated) -> None:
    """Not ready, but answering, with the end of the connection announced."""
    process = world.process(TWO)
    with load(world, "busy", threads=1):
        world.signal(TWO)
        until(lambda: world.ports[TWO].number not in world.balancer.ready, "it is not ready any more")
        answered = world.ask(TWO, "/livez")
        assert answered[0] == 200
        assert answered[1].lower() == "close"
        assert process.running
        assert process.wait(60) == 0


def test_an_admission_server_killed_costs_what_was_under_way(world: Replicated) -> None:
    """SIGKILL: the calls that it was answering are refused, fail closed; who asks again is answered by the other."""
    with load(world, "busy") as found:
        some(found)
        world.kill(ONE)
        some(found)
        while_one_was_left = len(found.failed)
        some(found)
        assert len(found.failed) == while_one_was_left, "the other answers everything"
        world.start_replica(ONE)
        some(found)

    print(f"\nan admission server killed: {found}")
    assert len(found.failed) <= 4
    assert all("failed calling webhook" in said for said in found.failed)  # never a pod without its identity


@pytest.mark.parametrize("force", [False, True], ids=["SIGTERM", "SIGKILL"])
def test_a_controller_that_ends_costs_no_call(world: Replicated, force: bool) -> None:
    with load(world, "busy") as found:
        some(found)
        if force:
            world.kill(CONTROLLER)
        else:
            assert terminate(world.process(CONTROLLER)) == 0
        some(found)
        world.start_controller()
        until(lambda: world.controller("/readyz")[0] == 200, "it leads again")
        some(found)

    print(f"\nthe controller ended: {found}")
    assert found.failed == []


def damage(world: Replicated, change: Callable[[Json], None]) -> None:
    secret = world.secret()
    change(secret)
    world.plane.client.request("PUT", SECRET, secret)


def lose(world: Replicated) -> None:
    world.plane.client.request("DELETE", SECRET)


def empty(world: Replicated) -> None:
    damage(world, lambda secret: secret.pop("data"))


def swap(world: Replicated) -> None:
    """For a pair of somebody else's authority: valid, and trusted by nobody."""
    certificate, key = world.plane.authority.server("swapped", ["127.0.0.1"])
    texts = {"tls.crt": certificate, "tls.key": key, "ca.crt": world.plane.ca}
    data = {name: base64.b64encode(path.read_bytes()).decode() for name, path in texts.items()}
    damage(world, lambda secret: secret.update(data=data))


def garble(world: Replicated) -> None:
    garbage = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n").decode()
    damage(world, lambda secret: secret.update(data=dict.fromkeys(secret["data"], garbage)))


@pytest.mark.parametrize("how", [lose, empty, swap, garble])
def test_a_secret_that_is_lost_or_damaged_costs_no_call(world: Replicated, how: Callable[[Replicated], None]) -> None:
    before = world.rest()
    with load(world, "busy") as found:
        how(world)
        after = world.rest(before)
        some(found)

    print(f"\n{how.__name__}: {found}")
    assert after != before
    assert found.failed == []


def test_a_replica_that_starts_without_a_secret_waits_for_it(world: Replicated) -> None:
    """No controller, no Secret: it lives, is not ready and so not asked; the other serves what it has in memory."""
    world.kill(CONTROLLER, TWO)
    lose(world)
    with load(world, "busy") as found:
        world.start_replica(TWO, wait=False)
        until(lambda: world.ask(TWO, "/livez")[0] == 200, "it lives")
        assert world.ask(TWO, "/readyz")[0] == 503
        assert world.leaf(ONE) != world.leaf(TWO)
        world.start_controller()
        until(lambda: world.ask(TWO, "/readyz")[0] == 200, "it is ready")
        world.rest()
        some(found)

    # The check beside the load sees what a server shows that nobody asks yet.
    wrong = [said for said in found.failed if not said.startswith(f"{TWO} serves what")]
    assert wrong == []


@pytest.mark.parametrize("value", ["", "foreign"], ids=["emptied", "swapped"])
def test_a_caBundle_that_somebody_edits_is_repaired(world: Replicated, value: str) -> None:
    """Until then the API server refuses what it cannot ask about; a repair takes hundredths of a second."""
    before = world.bundles()
    bundle = base64.b64encode(world.plane.ca.read_bytes()).decode() if value else ""
    patch = [{"op": "replace", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}]

    world.plane.kubectl(
        "patch", "validatingwebhookconfiguration", "apostille-kinds", "--type=json", f"-p={json.dumps(patch)}"
    )

    assert until(lambda: world.bundles() == before, "it is as it was", 60) < 10
    until(lambda: world.judges(), "trusts are judged")


@pytest.fixture
def between(world: Replicated) -> Iterator[Proxy]:
    with proxy(world.plane) as made:
        yield made


def test_a_write_of_one_that_does_not_lead_any_more_does_not_arrive(world: Replicated, between: Proxy) -> None:
    """The leader is lost in the middle of a write, which the network delivers when another has led for a while."""
    world.settle("withdrawn")
    world.kill(CONTROLLER)
    world.server = between.url
    world.start_controller()
    until(lambda: world.controller("/readyz")[0] == 200, "the first leads")
    held = between.hold("PATCH", "/mutatingwebhookconfigurations/")
    world.settle_later("late")
    until(lambda: held.hits, "the first is about to write the selection")
    world.server = ""
    world.kill(CONTROLLER)
    world.start_controller()
    world.remove(binding("withdrawn", "withdrawn"))
    until(lambda: world.in_force("late"), "the second has written what the first was about to")
    until(lambda: ("withdrawn", "app") not in world.selected()["Fail"], "and more")
    before = world.generated()

    assert held.release() == [409]

    assert world.generated() == before


def test_with_nobody_there_and_an_api_server_that_starts_anew(world: Replicated) -> None:
    """A cluster from cold: what is not bound starts; what is bound is refused until the first replica is ready."""
    world.kill(CONTROLLER, *world.ports)
    world.plane.restart_apiserver()

    for where in ("kube-system", "default"):
        with contextlib.suppress(APIError):
            world.plane.client.request(
                "POST", f"/api/v1/namespaces/{where}/serviceaccounts", {"metadata": {"name": "x"}}
            )
        pod = workload("Pod", where, account="x", name="cold")
        until(lambda where=where, pod=pod: created(world, where, pod), f"pods of {where} start", 60)
    refused = world.plane.kubectl("apply", "-f", "-", input=json.dumps(workload("Pod", "busy", name="c")), check=False)
    assert "bound-workloads.apostille.dev" in refused.stderr

    world.start_controller()
    world.start_replica(ONE)
    pod = workload("Pod", "busy", name="cold")
    until(lambda: created(world, "busy", pod), "bound pods start")
    made = world.get("/api/v1/namespaces/busy/pods/cold")
    assert made is not None
    assert injected(made)


def created(world: World, where: str, pod: Json) -> bool:
    try:
        world.plane.client.request("POST", f"/api/v1/namespaces/{where}/pods", pod)
    except APIError as error:
        return error.reason == "AlreadyExists"
    return True


def test_a_second_controller_rotates_when_the_first_is_gone(world: Replicated) -> None:
    """In the middle of it: what the first has prepared the second finishes."""
    before = world.rest()
    world.kill(CONTROLLER)
    world.wish()
    with proxy(world.plane) as between, load(world, "busy") as found:
        world.server = between.url
        strike = between.strike("PATCH", "/secrets/", world.process_kill)
        world.start_controller()
        assert strike.hit.wait(60)
        world.server = ""
        world.start_second()
        try:
            after = world.rest(before)
        finally:
            world.kill(SECOND)

    assert after != before
    assert found.failed == []
