"""Between controller and API server: watches that expire, break, err or fall silent; requests put off; half a job."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator

import pytest

from apostille_testbed import control_plane
from apostille_testbed.installation import CONTROLLER
from e2e.one_apply import binding, workload
from e2e.proxy import Proxy, proxy
from e2e.world import GROUP, POLICY_PATH, SELECTION_PATH, World, until, whole

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

KINDS = r"/apis/apostille\.dev/v1alpha1/(federationtrusts|workloadbindings)$"
GONE = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}
NO_LEADER = {**GONE, "reason": "InternalError", "code": 500, "message": "etcdserver: no leader"}


@pytest.fixture(scope="module")
def installed() -> Iterator[World]:
    with control_plane() as plane, World(plane) as world:
        yield world


@pytest.fixture
def between(installed: World) -> Iterator[Proxy]:
    """A controller that sees the API server through a proxy, and has looked at everything."""
    if installed.process(CONTROLLER).running:
        installed.terminate(CONTROLLER)  # so that the next one need not wait for its lease
    with proxy(installed.plane) as made:
        installed.server = made.url
        installed.start_controller()
        until(lambda: installed.controller("/readyz")[0] == 200, "the controller has looked at everything")
        yield made
        installed.kill(CONTROLLER)
        installed.server = ""


@pytest.fixture
def world(installed: World, between: Proxy) -> Iterator[World]:
    """At the end of a test the same controller process must still do its work."""
    with installed.goes_on():
        yield installed


def matched(world: World, name: str) -> int:
    """The number of pods that the controller sees under a binding."""
    found = world.get(f"{GROUP}/namespaces/{name}/workloadbindings/{name}") or {}
    return int(found["status"]["pods"]["matched"])


def works(world: World) -> None:
    """The controller takes over something new."""
    world.settle(f"works-{secrets.token_hex(3)}")


def test_a_watch_expires_and_what_ended_meanwhile_is_noticed(world: World, between: Proxy) -> None:
    """410 Gone: kopf lists anew and tells of nothing that vanished in between."""
    name = f"gap-{secrets.token_hex(3)}"
    world.settle(name)
    # Nothing comes through, then the watch is told that it is too late.
    between.silent = re.compile(KINDS)
    before = between.swallowed
    world.remove(binding(name, name))
    until(lambda: between.swallowed > before, "the end of the binding has not come through")
    between.silent = None
    assert between.inject(KINDS, {"type": "ERROR", "object": GONE}) >= 2

    took = until(lambda: not world.token(name), "the binding's end is noticed")

    assert took < 30  # not only by the list that comes every minute
    works(world)


def test_an_error_in_a_watch_ends_nothing(world: World, between: Proxy) -> None:
    """`no leader` in the stream ends kopf for good, and in its own ways."""

    def watched(before: frozenset[int] = frozenset()) -> int:
        """How many kinds there is a watch for that was not there before: one may have been opened more than once."""
        return len({kind for number, kind in between.watches(KINDS).items() if number not in before})

    until(lambda: watched() == 2, "both kinds are watched")
    for _ in range(3):
        before = frozenset(between.watches(KINDS))
        assert between.inject(KINDS, {"type": "ERROR", "object": NO_LEADER}) >= 1
        until(lambda before=before: watched(before) == 2, "both kinds are watched anew")

    works(world)

    assert "event source ended, starting it again" in world.told(CONTROLLER)


def test_errors_in_all_watches_at_once(world: World, between: Proxy) -> None:
    until(lambda: len(between.watches()) >= 6, "all watches are open")
    assert between.inject(".", {"type": "ERROR", "object": NO_LEADER}) >= 6

    works(world)


def test_watches_are_cut_again_and_again(world: World, between: Proxy) -> None:
    for _ in range(10):
        between.cut(".")
        time.sleep(0.3)

    works(world)


def test_watches_fall_silent(world: World, between: Proxy) -> None:
    """The connections stay open and carry nothing more, as behind a balancer that forgot them."""
    name = f"silent-{secrets.token_hex(3)}"
    old = f"{name}-old"
    world.settle(old)
    until(lambda: between.requests("GET", "/federationtrusts.limit") >= 2, "the lists of the start are over")
    between.deaf.update(between.watches())
    world.put(*whole(name)[:-1], workload("Pod", old, name="second"))

    until(lambda: world.in_force(name), "what was declared during the silence is in force", 150)
    until(lambda: matched(world, old) == 2, "the pod that came during the silence is counted", 150)
    works(world)


def test_requests_are_put_off(world: World, between: Proxy) -> None:
    """429 with Retry-After, as by priority and fairness: obeyed, and nothing is lost."""
    busy = {"kind": "Status", "status": "Failure", "reason": "TooManyRequests", "code": 429}
    rules = [
        between.answer(method, path, 429, busy, times=4, **{"Retry-After": "1"})
        for method, path in (
            ("PATCH", POLICY_PATH),
            ("PATCH", SELECTION_PATH),
            ("PATCH", "/status"),
            ("POST", "dryRun"),
        )
    ]

    works(world)

    assert all(rule.hits > 4 for rule in rules)
    # Obeyed: four refusals cost four pauses of a second, not a storm.
    assert between.requests("PATCH", POLICY_PATH) < 100


def test_conflicts_and_errors_on_every_write(world: World, between: Proxy) -> None:
    conflict = {"kind": "Status", "status": "Failure", "reason": "Conflict", "code": 409}
    error = {"kind": "Status", "status": "Failure", "reason": "InternalError", "code": 500}
    for method, path, code, body in (
        ("PATCH", POLICY_PATH, 409, conflict),
        ("PATCH", SELECTION_PATH, 500, error),
        ("PATCH", "/status", 409, conflict),
        ("POST", "/events", 500, error),
        ("POST", "dryRun", 500, error),
        ("PUT", "/leases/", 409, conflict),
    ):
        # Of the lease once: two failures and a busy machine's pause are its end.
        between.answer(method, path, code, body, times=1 if "leases" in path else 2)

    works(world)


def test_killed_between_policies_and_selection(installed: World, between: Proxy) -> None:
    """Killed on the way out: the grant has gone, the selection has not; on the way in the other way round."""
    name = f"half-{secrets.token_hex(3)}"
    installed.settle(name)
    dropped = between.drop("PATCH", SELECTION_PATH)
    installed.remove(binding(name, name))
    until(lambda: dropped.hits, "the controller is about to write the selection")
    installed.kill(CONTROLLER)

    until(lambda: not installed.token(name), "the grant has gone")
    assert (name, "app") in installed.selected()["Fail"]  # what is not granted is not let through either
    between.rules.clear()
    installed.start_controller()

    until(lambda: (name, "app") not in installed.selected()["Fail"], "the rest follows")
    works(installed)


def test_killed_before_policies(installed: World, between: Proxy) -> None:
    """A new binding whose grant was never written: nothing is open, nothing closed, and the next one writes it."""
    name = f"never-{secrets.token_hex(3)}"
    installed.settle(name)
    dropped = between.drop("PATCH", POLICY_PATH)
    second = f"{name}-b"
    installed.put(*whole(second)[:3])
    until(lambda: dropped.hits, "the controller is about to write a policy")
    installed.kill(CONTROLLER)

    assert installed.token(name)
    between.rules.clear()
    installed.start_controller()
    installed.settle(second)
