"""Lists and events of the two kinds: what one misses the other brings, and a source that has gone blind is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from api_double import ApiDouble
from apostille.controller import declared as module
from apostille.controller.declared import LIST_SECONDS, Declared
from apostille.controller.state import State
from apostille.kube.client import BINDINGS, TRUSTS, ApiError
from apostille.model.names import BINDING_PLURAL, TRUST_PLURAL
from controller.declarations import OWN, binding, trust
from jumping_loop import in_no_time, now


class Source:
    """In kopf's place: tells what a test tells it to, until it is restarted."""

    def __init__(self, connection: Any, seen: Any, prepare: Callable[[], Awaitable[None]]) -> None:
        self.seen, self._prepare = seen, prepare
        self.restarts = 0
        self.began: list[float] = []
        self._again = asyncio.Event()

    async def run(self) -> None:
        while True:
            await self._prepare()
            self.began.append(now())
            self._again.clear()
            await self._again.wait()

    def restart(self) -> None:
        self.restarts += 1
        self._again.set()


class Scene:
    def __init__(self) -> None:
        self.api = Api()
        self.state = State(OWN)
        self.changed: list[tuple[str, str, str]] = []
        self.touched: list[str] = []
        self.declared = Declared(
            None,  # type: ignore[arg-type]
            self.api,  # type: ignore[arg-type]
            self.state,
            lambda *key: self.changed.append(key),
            lambda plural, raw: self.touched.append(raw["metadata"]["name"]),
        )
        self.source: Source = self.declared._source  # type: ignore[assignment]
        self.running = asyncio.create_task(self.declared.run())

    async def start(self) -> None:
        await self.declared.listed.wait()
        await asyncio.sleep(0.1)
        self.changed.clear()

    def put(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Stores an object; returns it as an event carries it."""
        resource = TRUSTS if raw["kind"] == "FederationTrust" else BINDINGS
        return self.api.put(f"{resource.path()}/{raw['metadata']['name']}", **raw)

    def tell(self, raw: dict[str, Any], event: str = "MODIFIED") -> None:
        self.source.seen(TRUST_PLURAL if raw["kind"] == "FederationTrust" else BINDING_PLURAL, event, raw)


class Api(ApiDouble):
    """Its objects keep their namespaces, which are not in its paths."""

    def _store(self, path: str, body: Any) -> Any:
        stored = super()._store(path, body)
        for key in ("namespace", "uid", "generation"):
            if key in body.get("metadata", {}):
                self.objects[path]["metadata"][key] = stored["metadata"][key] = body["metadata"][key]
        return stored


@pytest.fixture(autouse=True)
def no_kopf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EventSource", Source)


@in_no_time
async def test_what_is_there_is_known_before_anybody_is_told() -> None:
    scene = Scene()
    scene.put(trust())
    scene.put(binding())
    await scene.declared.listed.wait()

    assert (list(scene.state.trusts), list(scene.state.bindings)) == (["t"], [("a", "b")])
    assert sorted(scene.changed) == [(TRUST_PLURAL, "", "t"), (BINDING_PLURAL, "a", "b")]


@in_no_time
async def test_events_are_taken_over_and_our_own_statuses_only_touched() -> None:
    scene = Scene()
    await scene.start()
    scene.tell(scene.put(binding()), "ADDED")
    scene.tell({**scene.put(binding()), "status": {"phase": "Live"}})
    suspended = scene.put(binding(suspended=True, generation=2))
    scene.tell(suspended)
    scene.tell({**suspended, "metadata": {**suspended["metadata"], "resourceVersion": "9999"}}, "DELETED")

    assert scene.changed == [(BINDING_PLURAL, "a", "b")] * 3
    assert scene.touched == ["b"]
    assert scene.state.bindings == {}


@in_no_time
async def test_a_deletion_that_fell_into_a_gap_is_found_by_the_list() -> None:
    scene = Scene()
    scene.put(binding())
    await scene.start()
    del scene.api.objects[f"{BINDINGS.path()}/b"]
    scene.api.version += 1

    await asyncio.sleep(LIST_SECONDS + 1)

    assert scene.state.bindings == {}
    assert scene.changed == [(BINDING_PLURAL, "a", "b")]


@in_no_time
async def test_a_watch_that_begins_anew_is_reason_to_list_soon() -> None:
    scene = Scene()
    raw = scene.put(binding())
    scene.put(trust())
    await scene.start()
    del scene.api.objects[f"{BINDINGS.path()}/b"]
    scene.api.version += 1

    scene.tell(scene.put(trust()), "")
    await asyncio.sleep(5)

    assert scene.state.bindings == {}
    assert raw["metadata"]["name"] == "b"


@in_no_time
async def test_a_source_that_has_gone_blind_is_replaced() -> None:
    scene = Scene()
    await scene.start()
    scene.put(binding())

    await asyncio.sleep(LIST_SECONDS + 10)
    assert scene.state.bindings.keys() == {("a", "b")}
    assert scene.source.restarts == 1
    assert len(scene.source.began) == 2

    await asyncio.sleep(5 * LIST_SECONDS)
    assert scene.source.restarts == 1


@in_no_time
async def test_an_event_that_is_on_its_way_was_not_missed() -> None:
    scene = Scene()
    await scene.start()
    await asyncio.sleep(LIST_SECONDS - 1)
    raw = scene.put(binding())
    await asyncio.sleep(2)
    assert scene.state.bindings.keys() == {("a", "b")}

    scene.tell(raw, "ADDED")
    await asyncio.sleep(60)

    assert scene.source.restarts == 0


@in_no_time
async def test_the_kinds_are_waited_for() -> None:
    scene = Scene()

    def missing(verb: str, path: str) -> None:
        raise ApiError(404, "NotFound", "the server could not find the requested resource")

    scene.api.fail = missing
    await asyncio.sleep(120)
    assert not scene.declared.listed.is_set()
    assert scene.source.began == []

    scene.put(binding())
    scene.api.fail = lambda verb, path: None
    await asyncio.sleep(3)

    assert scene.declared.listed.is_set()
    assert scene.state.bindings.keys() == {("a", "b")}


@in_no_time
async def test_with_the_kind_goes_everything_of_it() -> None:
    scene = Scene()
    scene.put(trust())
    scene.put(binding())
    await scene.start()

    def missing(verb: str, path: str) -> None:
        if path == BINDINGS.path():
            raise ApiError(404, "NotFound", "the server could not find the requested resource")

    scene.api.fail = missing
    await asyncio.sleep(LIST_SECONDS + 1)

    assert scene.state.bindings == {}
    assert list(scene.state.trusts) == ["t"]


@in_no_time
async def test_an_api_server_that_is_away_takes_nothing_away() -> None:
    scene = Scene()
    scene.put(binding())
    await scene.start()

    def away(verb: str, path: str) -> None:
        raise ApiError(0, "", "connection refused")

    scene.api.fail = away
    await asyncio.sleep(10 * LIST_SECONDS)
    assert scene.state.bindings.keys() == {("a", "b")}
    assert scene.declared.silence > 9 * LIST_SECONDS

    scene.api.fail = lambda verb, path: None
    await asyncio.sleep(LIST_SECONDS + 1)
    assert scene.declared.silence <= LIST_SECONDS + 1
    assert not scene.running.done()


@in_no_time
async def test_an_object_that_nobody_foresaw_stands_in_nobodys_way(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    put = scene.state.put

    def breaks(plural: str, raw: dict[str, Any]) -> bool:
        if raw["metadata"]["name"] == "poison":
            raise RecursionError
        return put(plural, raw)

    monkeypatch.setattr(scene.state, "put", breaks)
    scene.put(binding("poison"))
    scene.put(binding())
    await scene.start()
    scene.tell(scene.put(binding("poison")))

    assert scene.state.bindings.keys() == {("a", "b")}
    assert not scene.running.done()
