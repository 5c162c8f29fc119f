"""Liveness looks at how long nothing was heard: a quiet cluster is no dead one, a deaf process is restarted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from api_double import ApiDouble
from apostille.admission.declared import Declared
from apostille.admission.server import Server
from apostille.controller import declared as declared_module
from apostille.controller.run import MAX_SILENCE, Controller
from apostille.core.settings import InjectionSettings
from apostille.kube.client import LEASES, ApiError
from apostille.kube.lease import Lease
from controller.declarations import OWN, SETTINGS
from controller.test_declared import Source
from jumping_loop import in_no_time

LEASE = LEASES.path("lead", namespace=OWN)
# Lists of what is declared come every minute, watches begin anew after 90 seconds.
MARGIN = 100.0


def controller(api: Any, monkeypatch: pytest.MonkeyPatch) -> Controller:
    monkeypatch.setattr(declared_module, "EventSource", Source)
    made = Controller(None, api, Lease(api, OWN, "lead", "me"), SETTINGS, None, "apostille-controller")  # type: ignore[arg-type]
    made.running = asyncio.create_task(made.run())  # type: ignore[attr-defined]
    return made


def deaf(verb: str, path: str) -> None:
    """The lease is renewed over connections of its own."""
    if path != LEASE:
        raise ApiError(0, "", "no answer")


@in_no_time
async def test_a_leader_in_a_cluster_where_nothing_happens_is_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    made = controller(ApiDouble(), monkeypatch)
    for _ in range(240):
        await asyncio.sleep(15)
        assert made.alive() == ""


@in_no_time
async def test_a_leader_that_hears_nothing_any_more_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    api = ApiDouble()
    made = controller(api, monkeypatch)
    await asyncio.sleep(10)
    api.fail = deaf
    api.mute()

    await asyncio.sleep(MAX_SILENCE - MARGIN)
    assert made.alive() == ""
    await asyncio.sleep(2 * MARGIN)
    assert made.alive().startswith("nothing heard from the API server for ")

    api.fail = lambda verb, path: None
    await asyncio.sleep(MARGIN)
    assert made.alive() == ""


@pytest.mark.parametrize("what", ["/pods", "/namespaces", "/configmaps", "/federationtrusts"])
@in_no_time
async def test_one_collection_that_is_silent_is_enough(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    api = ApiDouble()
    made = controller(api, monkeypatch)
    await asyncio.sleep(10)

    def silent(verb: str, path: str) -> None:
        if path.endswith(what):
            raise ApiError(0, "", "no answer")

    api.fail = silent
    await asyncio.sleep(MAX_SILENCE + MARGIN)

    assert made.alive() != ""


@in_no_time
async def test_who_waits_to_lead_is_alive_as_long_as_it_hears_of_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    api = ApiDouble()
    leader = Lease(api, OWN, "lead", "other")  # type: ignore[arg-type]
    await leader.acquire()
    holding = asyncio.create_task(leader.hold())
    made = controller(api, monkeypatch)
    await asyncio.sleep(3600)
    assert made.alive() == ""

    def away(verb: str, path: str) -> None:
        raise ApiError(0, "", "no answer")

    api.fail = away
    holding.cancel()
    await asyncio.sleep(MAX_SILENCE + 10)

    assert made.alive() != ""


@in_no_time
async def test_an_admission_server_that_hears_nothing_any_more_is_not_alive() -> None:
    api: Any = ApiDouble()
    declared = Declared(api, OWN, "apostille-admission")
    server = Server(declared, None, None, InjectionSettings(), None)  # type: ignore[arg-type]
    running = asyncio.create_task(declared.run())
    for _ in range(100):
        await asyncio.sleep(30)
        assert (await server._livez(None)).status == 200  # type: ignore[arg-type]
    api.fail = deaf
    api.mute()
    await asyncio.sleep(MAX_SILENCE + MARGIN)
    running.cancel()

    assert (await server._livez(None)).status == 503  # type: ignore[arg-type]
