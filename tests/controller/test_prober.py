"""What is in force is what the API server answered last, also while it lags behind what is written."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from api_double import ApiDouble
from apostille.controller.prober import HASTE_SECONDS, IDLE_PAUSE, Prober
from apostille.controller.state import State
from apostille.core import grants, selection
from apostille.core.desired import Desired, InForce
from apostille.core.grants import Grant, Protection
from apostille.kube.client import ApiError
from apostille.model.identity import ServiceAccount
from controller.declarations import OWN, SETTINGS
from jumping_loop import in_no_time, now

AUDIENCE = "https://t.sts.example"
KINDS = selection.kinds_webhooks(SETTINGS)


def account(name: str) -> ServiceAccount:
    return ServiceAccount("a", name)


def wanted(*names: str) -> Desired:
    """These are granted and bound."""
    accounts = frozenset(map(account, names))
    granted = frozenset(Grant(one, AUDIENCE, 3600) for one in accounts)
    return Desired(bound=accounts, protections=(Protection(AUDIENCE, "Enforce"),), grants=granted)


class Scene:
    """The API server has what ``policies`` and ``hooks`` say, which is not always what was written last."""

    def __init__(self) -> None:
        self.api = ApiDouble()
        self.state = State(OWN)
        self.changes: list[tuple[InForce, InForce]] = []
        self.prober = Prober(self.api, self.state, OWN, lambda old, new: self.changes.append((old, new)))  # type: ignore[arg-type]
        self.policies: Sequence[Any] = ()
        self.hooks: Sequence[Any] = ()
        self.api.warnings = self.answers
        self.running = asyncio.create_task(self.prober.run())

    def answers(self) -> list[str]:
        of_policies = grants.expected_warnings(self.policies)
        return [f"Validation failed for x: {text}" for text in of_policies] + sorted(
            selection.expected_warnings(self.hooks)
        )

    def written(self, want: Desired) -> tuple[Sequence[Any], Sequence[Any]]:
        """The controller has written this; returns it as it comes into force."""
        policies = grants.policies(want.protections, want.grants, SETTINGS)
        hooks = selection.selection(want.bound, want.allowed, SETTINGS)
        self.prober.expect(policies, want, hooks, KINDS)
        return policies, [*hooks, KINDS]

    @property
    def granted(self) -> set[str]:
        return {grant.account.name for grant in self.state.in_force.policies.grants}

    @property
    def selected(self) -> set[str]:
        return {one.name for one in self.state.in_force.selection.bound}


@in_no_time
async def test_what_is_written_is_not_in_force_before_it_is_seen() -> None:
    scene = Scene()
    policies, hooks = scene.written(wanted("one"))
    await asyncio.sleep(5)
    assert (scene.granted, scene.selected, scene.state.in_force.reachable) == (set(), set(), False)
    assert not scene.prober.looked.is_set()

    scene.policies = policies
    await asyncio.sleep(1)
    assert (scene.granted, scene.selected) == ({"one"}, set())

    scene.hooks = hooks
    await asyncio.sleep(1)
    assert (scene.granted, scene.selected, scene.state.in_force.reachable) == ({"one"}, {"one"}, True)
    assert scene.prober.looked.is_set()


@in_no_time
async def test_one_policy_of_several_proves_nothing() -> None:
    """The API server compiles them one by one."""
    scene = Scene()
    scene.policies, scene.hooks = scene.written(wanted("one"))
    await asyncio.sleep(1)
    new, _ = scene.written(wanted("one", "two"))
    scene.policies = [*new[:3], *scene.policies[3:]]
    await asyncio.sleep(1)
    assert scene.granted == {"one"}

    scene.policies = new
    await asyncio.sleep(1)

    assert scene.granted == {"one", "two"}


@in_no_time
async def test_what_is_to_go_is_in_force_as_long_as_it_answers() -> None:
    scene = Scene()
    scene.policies, scene.hooks = scene.written(wanted("one"))
    await asyncio.sleep(1)
    nothing = Desired()
    scene.written(nothing)
    await asyncio.sleep(1)
    assert scene.granted == {"one"}

    scene.policies = ()
    await asyncio.sleep(1)

    assert scene.granted == set()
    assert scene.selected == set()


@in_no_time
async def test_what_came_before_the_last_is_recognised() -> None:
    """Declarations come faster than the API server takes them over: statuses go on with what it has."""
    scene = Scene()
    scene.policies, scene.hooks = scene.written(wanted("0"))
    for number in range(1, 20):
        lagging = scene.written(wanted(*map(str, range(number + 1))))
        await asyncio.sleep(0.5)
        assert len(scene.granted) >= number
        scene.policies, scene.hooks = lagging


@in_no_time
async def test_a_silent_endpoint_is_seen_and_takes_nothing_away() -> None:
    scene = Scene()
    scene.policies, scene.hooks = scene.written(wanted("one"))
    await asyncio.sleep(1)

    scene.hooks = ()
    await asyncio.sleep(IDLE_PAUSE + 1)

    assert not scene.state.in_force.reachable
    assert (scene.granted, scene.selected) == ({"one"}, {"one"})
    assert not await scene.prober.reachable()


@in_no_time
async def test_somebody_who_asks_gets_a_fresh_answer() -> None:
    scene = Scene()
    scene.policies, scene.hooks = scene.written(wanted("one"))
    await asyncio.sleep(5)
    scene.hooks = ()

    assert not await scene.prober.reachable()


@in_no_time
async def test_an_api_server_in_trouble_says_nothing_about_what_is_in_force() -> None:
    scene = Scene()
    scene.policies, scene.hooks = scene.written(wanted("one"))
    await asyncio.sleep(1)

    def away(verb: str, path: str) -> None:
        raise ApiError(503, "", "away")

    scene.api.fail = away
    await asyncio.sleep(300)

    assert (scene.granted, scene.selected, scene.state.in_force.reachable) == ({"one"}, {"one"}, True)
    assert await scene.prober.reachable()
    assert not scene.running.done()


@in_no_time
async def test_it_is_asked_often_while_something_is_on_its_way_and_rarely_else() -> None:
    scene = Scene()
    scene.policies, scene.hooks = scene.written(wanted("one"))
    await asyncio.sleep(1)
    scene.api.requests.clear()
    began = now()
    await asyncio.sleep(600)
    idle = len(scene.api.requests) / (now() - began)

    scene.api.requests.clear()
    scene.written(wanted("one", "two"))
    await asyncio.sleep(HASTE_SECONDS)
    hasty = len(scene.api.requests) / HASTE_SECONDS
    scene.api.requests.clear()
    await asyncio.sleep(600)
    patient = len(scene.api.requests) / 600

    assert idle < 0.1
    assert hasty > 5
    assert patient < 1.1
    assert scene.prober.looked.is_set()


@in_no_time
async def test_nothing_counts_after_the_installation_has_gone() -> None:
    scene = Scene()
    scene.policies, scene.hooks = scene.written(wanted("one"))
    await asyncio.sleep(1)

    scene.prober.forget()
    await asyncio.sleep(60)

    assert scene.state.in_force == InForce()


@in_no_time
async def test_every_change_is_told_and_nothing_else() -> None:
    scene = Scene()
    scene.policies, scene.hooks = scene.written(wanted("one"))
    await asyncio.sleep(600)
    assert len(scene.changes) == 1

    scene.policies, scene.hooks = scene.written(wanted("two"))
    await asyncio.sleep(600)

    assert [new.policies for _, new in scene.changes[1:]][-1] == wanted("two")
    assert all(old != new for old, new in scene.changes)
