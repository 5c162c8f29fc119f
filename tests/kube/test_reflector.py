"""A local copy stays true through gaps, silence and objects that nobody foresaw."""

from __future__ import annotations

import asyncio
from typing import Any

from api_double import ApiDouble
from apostille.kube.client import ApiError
from apostille.kube.reflector import MAX_BACKOFF, SILENCE_SECONDS, Reflector
from jumping_loop import in_no_time, now

PATH = "/api/v1/things"
Change = tuple[str, Any, Any]


def value(raw: dict[str, Any]) -> str | None:
    return raw["value"] or None


def watched(api: ApiDouble, changes: list[Change] | None = None, **options: Any) -> Reflector[str]:
    told = changes if changes is not None else []
    return Reflector(api, PATH, value, lambda key, old, new: told.append((key[1], old, new)), **options)  # type: ignore[arg-type]


async def started(reflector: Reflector[str]) -> asyncio.Task[None]:
    running = asyncio.create_task(reflector.run())
    await reflector.synced.wait()
    await asyncio.sleep(0.1)
    return running


@in_no_time
async def test_what_is_there_and_what_comes() -> None:
    api, changes = ApiDouble(), list[Change]()
    api.put(f"{PATH}/a", value="1")
    reflector = watched(api, changes)
    await started(reflector)

    api.put(f"{PATH}/b", value="2")
    api.put(f"{PATH}/a", value="3")
    api.drop(f"{PATH}/b")
    await asyncio.sleep(0.1)

    assert changes == [("a", None, "1"), ("b", None, "2"), ("a", "1", "3"), ("b", "2", None)]
    assert sorted(reflector) == ["3"]


@in_no_time
async def test_what_vanished_during_a_gap_is_gone() -> None:
    """410 Gone: the watch has missed an end, an addition and a change."""
    api, changes = ApiDouble(), list[Change]()
    for name in ("stays", "ends", "changes"):
        api.put(f"{PATH}/{name}", value="1")
    reflector = watched(api, changes)
    await started(reflector)
    changes.clear()
    api.end_watches(ApiError(410, "Expired", "too old resource version"))
    del api.objects[f"{PATH}/ends"]
    api.objects[f"{PATH}/changes"]["value"] = "2"

    await asyncio.sleep(1)

    assert sorted(changes) == [("changes", "1", "2"), ("ends", "1", None)]


@in_no_time
async def test_silence_is_not_trusted() -> None:
    api = ApiDouble()
    api.put(f"{PATH}/a", value="1")
    reflector = watched(api)
    await started(reflector)
    api.mute()
    api.drop(f"{PATH}/a")

    await asyncio.sleep(SILENCE_SECONDS - 1)
    assert list(reflector) == ["1"]
    assert reflector.silence >= SILENCE_SECONDS - 2
    await asyncio.sleep(2)

    assert list(reflector) == []
    assert reflector.silence < 5
    assert [verb for verb, _ in api.requests] == ["LIST", "WATCH", "WATCH"]


@in_no_time
async def test_a_collection_in_which_nothing_happens_is_heard_of_all_the_same() -> None:
    api = ApiDouble()
    reflector = watched(api)
    await started(reflector)

    await asyncio.sleep(3600)

    assert reflector.silence <= SILENCE_SECONDS
    assert [verb for verb, _ in api.requests].count("LIST") == 1


@in_no_time
async def test_one_object_that_is_not_understood_costs_none_of_the_others() -> None:
    api = ApiDouble()
    api.put(f"{PATH}/broken", other="1")
    api.put(f"{PATH}/good", value="1")
    reflector = watched(api)
    running = await started(reflector)
    api.put(f"{PATH}/broken-too", other="1")
    api.put(f"{PATH}/better", value="2")
    await asyncio.sleep(0.1)

    assert sorted(reflector) == ["1", "2"]
    assert not running.done()


@in_no_time
async def test_an_absent_server_is_asked_ever_more_rarely_but_found_soon() -> None:
    api = ApiDouble()
    reflector = watched(api)
    await started(reflector)

    def away(verb: str, path: str) -> None:
        raise ApiError(0, "", "connection refused")

    api.fail = away
    api.end_watches(ApiError(0, "", "broke off"))
    before = len(api.requests)
    await asyncio.sleep(300)
    asked = len(api.requests) - before
    api.fail = lambda verb, path: None
    api.put(f"{PATH}/a", value="1")
    await asyncio.sleep(MAX_BACKOFF + 1)

    assert 300 / MAX_BACKOFF <= asked <= 2.5 * 300 / MAX_BACKOFF
    assert list(reflector) == ["1"]


@in_no_time
async def test_a_server_that_puts_off_is_obeyed() -> None:
    api = ApiDouble()
    times: list[float] = []

    def busy(verb: str, path: str) -> None:
        times.append(now())
        if len(times) == 1:
            raise ApiError(429, "TooManyRequests", "later", retry_after=7.0)

    api.fail = busy
    await started(watched(api))

    assert times[1] - times[0] >= 7.0


@in_no_time
async def test_a_server_that_ends_every_watch_at_once_is_not_asked_in_a_circle() -> None:
    api = ApiDouble()

    async def nothing(*_: Any, **__: Any) -> Any:
        api.requests.append(("WATCH", ""))
        if False:
            yield

    api.watch = nothing  # type: ignore[method-assign]
    await started(watched(api))

    await asyncio.sleep(60)

    assert len(api.requests) <= 65


@in_no_time
async def test_who_asked_is_told_of_every_list() -> None:
    api, lists = ApiDouble(), list[float]()
    reflector = watched(api, listed=lambda: lists.append(now()))
    await started(reflector)
    api.end_watches()
    await asyncio.sleep(5)
    assert len(lists) == 1  # a watch that ends as it should goes on where it was

    api.end_watches(ApiError(0, "", "broke off"))
    await asyncio.sleep(5)

    assert len(lists) == 2
