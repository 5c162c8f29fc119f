"""What is taken away and declared again at once is Ready by its own grant, never by what was in force before."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from api_double import ApiDouble
from apostille.controller.cluster import ClusterReconciler
from apostille.controller.generated import Generated
from apostille.controller.prober import Prober
from apostille.controller.state import State
from apostille.core import grants, selection
from apostille.core.status import binding_status
from apostille.kinds.status import PodCounts
from apostille.kube.client import CLUSTER_ROLES
from apostille.model import names
from apostille.model.conditions import find
from apostille.model.names import BINDING_PLURAL, TRUST_PLURAL
from controller.declarations import ISSUER, OWN, SETTINGS, Raw, binding, trust
from jumping_loop import in_no_time


class Scene:
    """A controller, and an API server that takes over what is written only when a test says so."""

    def __init__(self) -> None:
        self.api, self.state = ApiDouble(), State(OWN)
        self.api.put(CLUSTER_ROLES.path(names.ANCHOR), kind="ClusterRole")
        self.api.objects[CLUSTER_ROLES.path(names.ANCHOR)]["metadata"]["uid"] = "anchor"
        self.state.set_issuer(ISSUER, "")
        self.prober = Prober(self.api, self.state, OWN, lambda before, after: None)  # type: ignore[arg-type]
        self.generated = Generated(self.api, OWN, lambda kind, name: None)  # type: ignore[arg-type]
        self.cluster = ClusterReconciler(
            self.api,  # type: ignore[arg-type]
            self.generated,
            self.prober,
            self.state,
            SETTINGS,
            lambda: None,
            lambda: "Q0E=",
        )
        self._version = 1
        self._in_force: list[Raw] = []
        self.api.warnings = self._answers

    def declare(self, *raws: Raw) -> None:
        for raw in raws:
            self._version += 1
            raw["metadata"]["resourceVersion"] = str(self._version)
            self.state.put(TRUST_PLURAL if raw["kind"] == "FederationTrust" else BINDING_PLURAL, raw)

    def delete(self) -> None:
        """Trust and binding."""
        self._version += 1
        self.state.drop(BINDING_PLURAL, "a", "b", self._version)
        self.state.drop(TRUST_PLURAL, "", "t", self._version)

    async def write(self) -> Callable[[], None]:
        """The controller writes what is declared; returns what makes it come into force."""
        await self.cluster.reconcile()
        written = copy.deepcopy([one for one in self.api.objects.values() if "kind" in one])

        def take_over() -> None:
            self._in_force = written

        return take_over

    async def ready(self) -> str:
        """The reason of the binding's Ready, once the API server was asked."""
        await asyncio.sleep(1)
        known = self.state.bindings["a", "b"]
        resolved = self.state.view().bindings["a", "b"]
        status = binding_status(resolved, PodCounts(), self.state.in_force_for(known), datetime.now(UTC))
        return str(find([{"type": one.type, "reason": one.reason} for one in status.conditions], "Ready")["reason"])

    def _answers(self) -> list[str]:
        policies = grants.expected_warnings(one for one in self._in_force if "Policy" in one["kind"])
        hooks = selection.expected_warnings(one for one in self._in_force if "Webhook" in one["kind"])
        return [*policies, *hooks]


@asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    running = [asyncio.create_task(made.generated.run()), asyncio.create_task(made.prober.run())]
    await made.generated.synced()
    made.declare(trust(), binding())
    (await made.write())()
    assert await made.ready() == "Activating"  # the endpoint is seen only now, and nothing is bound before
    (await made.write())()
    assert await made.ready() == "Ready"
    yield made
    for one in running:
        one.cancel()


def deleted(one: Scene) -> None:
    one.delete()


def suspended(one: Scene) -> None:
    one.declare(binding(suspended=True, generation=2))


def not_allowed(one: Scene) -> None:
    one.declare(trust("t", ("a", "another"), generation=2))


@pytest.mark.parametrize("take", [deleted, suspended, not_allowed])
@pytest.mark.parametrize("mode", ["Enforce", "Audit"])
@in_no_time
async def test_what_is_taken_and_given_back_is_ready_once_the_giving_back_is_seen(mode: str, take: Any) -> None:
    async with scene() as one:
        given: Raw = {"enforcement": {"mode": mode}}
        one.declare(trust("t", generation=2, **given))
        (await one.write())()
        assert await one.ready() == "Ready"

        for _ in range(2):
            take(one)
            taken = await one.write()
            one.declare(trust("t", generation=3, **given), binding(generation=3))
            assert await one.ready() == "Activating"
            back = await one.write()
            assert await one.ready() == "Activating", "what was in force before answers as this would"
            taken()
            assert await one.ready() == "Activating"
            back()
            assert await one.ready() == "Ready"


@pytest.mark.parametrize("take", [deleted, suspended])
@in_no_time
async def test_what_was_never_taken_from_the_api_server_stays_ready(take: Any) -> None:
    """Gone and come again before anything was written."""
    async with scene() as one:
        before = copy.deepcopy(one.api.objects)
        take(one)
        one.state.view()
        one.declare(trust(generation=3), binding(generation=3))
        await one.write()

        assert await one.ready() == "Ready"
        assert one.api.objects == before


@in_no_time
async def test_others_are_not_concerned() -> None:
    async with scene() as one:
        one.declare(trust("u", ("a", "second")), binding("second", of="u", account="second"))
        (await one.write())()
        assert await one.ready() == "Ready"
        one.state.drop(BINDING_PLURAL, "a", "second", 99)
        await one.write()
        one.declare(binding("second", of="u", account="second"))
        await one.write()

        assert await one.ready() == "Ready"
