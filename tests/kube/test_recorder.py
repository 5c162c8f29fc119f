"""Events: each change once, repetitions counted, nothing remembered for ever."""

from __future__ import annotations

import asyncio

from api_double import ApiDouble
from apostille.kube import recorder as module
from apostille.kube.client import ApiError
from apostille.kube.recorder import COUNT_SECONDS, SAME_SECONDS, Recorder
from jumping_loop import in_no_time

ABOUT = {"apiVersion": "apostille.dev/v1alpha1", "kind": "FederationTrust", "uid": "u", "name": "aws-prod"}


def written(api: ApiDouble) -> list[str]:
    return [verb for verb, path in api.requests if "/events" in path]


@in_no_time
async def test_the_same_is_one_event_that_counts() -> None:
    api = ApiDouble()
    recorder = Recorder(api, "me")  # type: ignore[arg-type]

    for _ in range(50):
        await recorder.record(ABOUT, "Normal", "Ready", "as declared")
        await asyncio.sleep(COUNT_SECONDS / 10)

    (event,) = [one for path, one in api.objects.items() if "/events/" in path]
    assert (event["reason"], event["note"], event["type"]) == ("Ready", "as declared", "Normal")
    assert event["regarding"]["name"] == "aws-prod"
    assert event["series"]["count"] > 40
    assert written(api) == ["POST", *["MERGE"] * 4]


@in_no_time
async def test_each_change_is_an_event_of_its_own() -> None:
    api = ApiDouble()
    recorder = Recorder(api, "me")  # type: ignore[arg-type]

    await recorder.record(ABOUT, "Normal", "Activating", "a")
    await recorder.record(ABOUT, "Normal", "Ready", "a")
    await recorder.record(ABOUT, "Normal", "Ready", "b")
    await recorder.record({**ABOUT, "uid": "v"}, "Normal", "Ready", "b")

    assert written(api) == ["POST"] * 4


@in_no_time
async def test_an_event_that_could_not_be_written_is_written_the_next_time() -> None:
    api = ApiDouble()
    recorder = Recorder(api, "me")  # type: ignore[arg-type]

    def away(verb: str, path: str) -> None:
        raise ApiError(503, "", "away")

    api.fail = away
    await recorder.record(ABOUT, "Normal", "Ready", "a")
    api.fail = lambda verb, path: None
    await recorder.record(ABOUT, "Normal", "Ready", "a")

    assert len(api.objects) == 1


@in_no_time
async def test_an_event_that_expired_in_the_cluster_is_written_anew() -> None:
    api = ApiDouble()
    recorder = Recorder(api, "me")  # type: ignore[arg-type]
    await recorder.record(ABOUT, "Normal", "Ready", "a")
    api.objects.clear()
    await asyncio.sleep(COUNT_SECONDS)

    await recorder.record(ABOUT, "Normal", "Ready", "a")  # finds out
    await recorder.record(ABOUT, "Normal", "Ready", "a")

    assert len(api.objects) == 1


@in_no_time
async def test_what_was_said_long_ago_or_too_much_is_forgotten(monkeypatch: object) -> None:
    api = ApiDouble()
    recorder = Recorder(api, "me")  # type: ignore[arg-type]
    for number in range(100):
        await recorder.record(ABOUT, "Normal", "Ready", f"note {number}")
    await asyncio.sleep(SAME_SECONDS)

    await recorder.record(ABOUT, "Normal", "Ready", "note 0")

    assert len(recorder._said) == 1
    assert module.MAX_REMEMBERED < 100_000
