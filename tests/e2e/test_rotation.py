"""Rotations of the admission server's certificate under load, with the controller killed between every two steps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apostille_testbed import control_plane
from apostille_testbed.installation import CONTROLLER
from e2e.proxy import Proxy, proxy
from e2e.replicated import Json, Replicated, load

SECRETS, WEBHOOKS, PROBE = "/secrets/", "webhookconfigurations/", "/configmaps.*dryRun"
STEPS = [
    ("prepared", "PATCH", SECRETS),
    ("a caBundle has both authorities", "PATCH", WEBHOOKS),
    ("another caBundle has both", "PATCH", WEBHOOKS),
    ("read back through the API server", "POST", PROBE),
    ("switched", "PATCH", SECRETS),
    ("every replica was seen", "PATCH", SECRETS),
    ("one caBundle has one authority again", "PATCH", WEBHOOKS),
]
"""After which the controller is killed, and the request that ends each."""
EXPECTED = {
    "a caBundle has both authorities": ("some caBundles have both",),
    "another caBundle has both": ("some caBundles have both", "all caBundles have both"),
    "read back through the API server": ("all caBundles have both",),
}


@pytest.fixture(scope="module")
def installed() -> Iterator[Replicated]:
    with control_plane() as plane, Replicated(plane, settle=0.3) as world:
        world.settle("busy")
        yield world


@pytest.fixture(scope="module")
def between(installed: Replicated) -> Iterator[Proxy]:
    with proxy(installed.plane) as made:
        installed.server = made.url
        yield made
        installed.server = ""


def standing(world: Replicated, before: str) -> str:
    """Which of the steps was the last, as the cluster shows it."""
    secret: Json = world.secret()
    switched = secret["metadata"]["annotations"]["apostille.dev/serve"] != before
    one = {bundle.count("BEGIN CERTIFICATE") for bundle in world.bundles().values()}
    if not switched:
        return "prepared" if one == {1} else "some caBundles have both" if len(one) == 2 else "all caBundles have both"
    if len(world.trusted()) == 2:
        return "switched"
    return "every replica was seen" if one == {2} else "one caBundle has one authority again"


def rotate_with_crashes(world: Replicated, between: Proxy) -> None:
    """One rotation, whose every step is done by another process."""
    before = world.rest()
    world.kill(CONTROLLER)
    world.wish()
    for name, method, path in STEPS:
        strike = between.strike(method, path, world.process_kill)
        world.start_controller()
        assert strike.hit.wait(60), f"never {name}:\n{world.told(CONTROLLER)}"
        assert standing(world, before) in EXPECTED.get(name, (name,))
    world.start_controller()
    world.rest(before)


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_five_rotations_with_a_crash_between_every_two_steps(installed: Replicated, between: Proxy) -> None:
    with load(installed, "busy") as found:
        for _ in range(5):
            rotate_with_crashes(installed, between)

    print(f"\n5 rotations, {5 * len(STEPS)} kills: {found}")
    assert found.failed == []
    assert found.done > 100
    assert found.handshakes > 100


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_hundred_rotations(installed: Replicated, between: Proxy) -> None:
    with load(installed, "busy") as found:
        for _ in range(100):
            rotate_with_crashes(installed, between)

    print(f"\n100 rotations, {100 * len(STEPS)} kills: {found}")
    assert found.failed == []
    assert found.done > 1000
    assert found.handshakes > 1000
