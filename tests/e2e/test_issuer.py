"""The API server signs with another key, or all tokens of Apostille's processes end: both follow."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from apostille_testbed import control_plane
from apostille_testbed.installation import ADMISSION, CONTROLLER, NAMESPACE
from e2e.world import GROUP, World, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with control_plane() as plane, World(plane) as world:
        world.settle("kept")
        yield world


def keys(world: World) -> list[str]:
    """The key ids that the trust's status names."""
    found = world.get(f"{GROUP}/federationtrusts/kept") or {}
    ids: list[str] = found["status"]["issuer"]["keyIDs"]
    return ids


def published(world: World) -> list[str]:
    found = json.loads(world.plane.kubectl("get", "--raw", "/openid/v1/jwks").stdout)
    return sorted(key["kid"] for key in found["keys"])


def test_a_new_signing_key_is_followed(world: World) -> None:
    """Old and new are both published while old tokens live."""
    before = keys(world)
    with world.goes_on():
        world.plane.rotate_service_account_key()

        until(lambda: keys(world) == published(world), "the status names the published keys")

        assert len(keys(world)) == 2
        assert set(before) < set(keys(world))
        world.settle("after-rotation")


def test_tokens_that_are_worth_nothing_any_more_are_read_anew(world: World) -> None:
    """The old keys are gone and with them every token; whoever keeps the kubeconfigs writes new ones into them."""
    with world.goes_on():
        world.plane.rotate_service_account_key(keep_old=False)
        for account in (CONTROLLER, ADMISSION):
            world.plane.service_account_kubeconfig(NAMESPACE, account, seconds=3600)

        until(lambda: keys(world) == published(world), "the status names the one key")
        world.settle("after-loss")
