"""Two controllers and one lease: one works, the other is there when it is needed, and never do both write."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

import pytest

from apostille_testbed import control_plane
from apostille_testbed.installation import CONTROLLER
from e2e.one_apply import binding, trust
from e2e.world import SECOND, World, until, whole

LEADING = '"message": "leading"'
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def installed() -> Iterator[World]:
    with control_plane() as plane, World(plane) as world:
        yield world


@pytest.fixture
def world(installed: World) -> World:
    """The first leads, the second stands by."""
    for name in (CONTROLLER, SECOND):
        if name in installed._running:
            installed.kill(name)
    installed.start_controller()
    until(lambda: LEADING in installed.told(CONTROLLER), "the first leads", 60)
    first = installed.leader()
    installed.start_second()
    until(lambda: "not leading" in installed.told(SECOND), "the second stands by", 60)
    assert installed.leader() == first
    return installed


def test_the_one_that_stands_by_does_nothing(world: World) -> None:
    world.settle("busy")

    assert LEADING not in world.told(SECOND)
    assert world.process(SECOND).running
    assert world.terminate(SECOND) == 0
    assert world.process(CONTROLLER).running


def test_after_a_kill_the_other_takes_over_when_the_lease_has_ended(world: World) -> None:
    world.kill(CONTROLLER)
    killed = time.monotonic()
    name = f"taken-{secrets.token_hex(3)}"
    world.put(*whole(name)[:-1])

    until(lambda: LEADING in world.told(SECOND), "the other leads", 60)

    assert time.monotonic() - killed > 10  # nobody takes what may still be held
    until(lambda: world.in_force(name), "and works")


def test_after_sigterm_the_other_takes_over_at_once(world: World) -> None:
    began = time.monotonic()

    assert world.terminate(CONTROLLER) == 0

    until(lambda: LEADING in world.told(SECOND), "the other leads", 60)
    assert time.monotonic() - began < 10  # a lease that nobody gave back takes fifteen seconds
    world.settle(f"handed-{secrets.token_hex(3)}")


def test_one_that_stood_still_writes_nothing_when_it_goes_on(world: World) -> None:
    """It knows a world that has ended: what its successor has cut off must stay so."""
    world.settle("revoked")
    world.freeze(CONTROLLER)
    frozen = world.process(CONTROLLER)
    until(lambda: LEADING in world.told(SECOND), "the other leads", 60)
    world.remove(binding("revoked", "revoked"), trust("revoked", ("revoked", "app")))
    left = lambda: str((world.selected(), world.generated()))  # noqa: E731
    until(lambda: "revoked" not in left(), "its successor has withdrawn all of it", 60)
    before = world.generated()

    world.thaw(CONTROLLER)
    until(lambda: not frozen.running, "it has ended", 60)

    assert world.generated() == before
    assert frozen.returncode == 1
    assert "Traceback" not in world.told(CONTROLLER)
