"""Statuses: written once for each change, whoever changed them, and an Event for each that matters."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from api_double import ApiDouble
from apostille.controller.writer import StatusWriter
from apostille.kinds import decode
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.status import ConditionStatus, FederationTrustStatus
from apostille.kube.client import TRUSTS, ApiError
from apostille.kube.recorder import Recorder
from apostille.telemetry import metrics
from controller.declarations import trust
from jumping_loop import in_no_time

OBJECT, PATH = TRUSTS.path("t"), TRUSTS.path("t", subresource="status")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def status(reason: str = "Ready", value: str = "True", message: str = "as declared") -> FederationTrustStatus:
    ready = ConditionStatus("Ready", value, reason, message, LONG_AGO, 1)
    return FederationTrustStatus(observed_generation=1, conditions=[ready], audience="https://t")


class Scene:
    def __init__(self) -> None:
        self.api = ApiDouble()
        self.api.put(OBJECT, **trust())
        self.writer = StatusWriter(self.api, Recorder(self.api, "me"))  # type: ignore[arg-type]

    @property
    def stored(self) -> dict[str, Any]:
        return self.api.objects[OBJECT]

    def known(self) -> FederationTrust:
        """The object as its event brings it."""
        return decode.federation_trust(self.stored)

    def written(self) -> int:
        return sum(path == PATH for _, path in self.api.requests)

    def events(self) -> list[str]:
        return [body["reason"] for path, body in self.api.objects.items() if "/events/" in path]


@in_no_time
async def test_the_same_is_written_once_though_the_copy_is_older() -> None:
    scene = Scene()
    older = scene.known()
    for _ in range(5):
        await scene.writer.write(PATH, older, status())

    assert scene.written() == 1
    assert scene.events() == ["Ready"]


@in_no_time
async def test_the_next_process_finds_it_as_it_wants_it() -> None:
    scene = Scene()
    await scene.writer.write(PATH, scene.known(), status())
    again = StatusWriter(scene.api, Recorder(scene.api, "me"))  # type: ignore[arg-type]

    await again.write(PATH, scene.known(), status())

    assert scene.written() == 1


@in_no_time
async def test_a_transition_time_moves_with_the_status_alone() -> None:
    scene = Scene()
    older = scene.known()
    await scene.writer.write(PATH, older, status())
    first = scene.stored["status"]["conditions"][0]["lastTransitionTime"]
    scene.stored["status"]["conditions"][0]["lastTransitionTime"] = "2021-01-01T00:00:00Z"
    scene.writer.forget(PATH)

    await scene.writer.write(PATH, scene.known(), status(message="another"))
    assert scene.stored["status"]["conditions"][0]["lastTransitionTime"] == "2021-01-01T00:00:00Z"
    await scene.writer.write(PATH, older, status("Activating", "False"))
    assert scene.stored["status"]["conditions"][0]["lastTransitionTime"] >= first
    # True, False, True: the copy that still has the first True does not bring its time back.
    await scene.writer.write(PATH, older, status())
    assert scene.stored["status"]["conditions"][0]["lastTransitionTime"] >= first


@in_no_time
async def test_what_somebody_else_wrote_is_noticed_and_written_again() -> None:
    scene = Scene()
    await scene.writer.write(PATH, scene.known(), status())
    assert not scene.writer.differs(PATH, scene.stored)  # our own, coming back

    scene.api.put(OBJECT, **{**scene.stored, "status": {"audience": "forged"}})
    assert scene.writer.differs(PATH, scene.stored)
    await scene.writer.write(PATH, scene.known(), status())

    assert scene.stored["status"]["audience"] == "https://t"
    assert scene.written() == 2


@in_no_time
async def test_a_label_is_nobodys_business() -> None:
    scene = Scene()
    await scene.writer.write(PATH, scene.known(), status())
    scene.api.put(OBJECT, **{**scene.stored, "metadata": {**scene.stored["metadata"], "labels": {"a": "b"}}})

    assert not scene.writer.differs(PATH, scene.stored)


@in_no_time
async def test_an_event_that_overtakes_the_answer_is_our_own() -> None:
    scene = Scene()
    writing = asyncio.create_task(scene.writer.write(PATH, scene.known(), status()))
    await asyncio.sleep(0.0005)

    assert not scene.writer.differs(PATH, {**scene.stored, "status": {"audience": "https://t"}})
    await writing


@in_no_time
async def test_an_object_made_anew_does_not_get_the_status_of_the_one_before() -> None:
    scene = Scene()
    await scene.writer.write(PATH, scene.known(), status())
    anew = replace(scene.known(), uid="another", raw_status={})

    await scene.writer.write(PATH, anew, status())

    assert scene.written() == 2
    assert scene.api.bodies[-2]["metadata"]["uid"] == "another"


@pytest.mark.parametrize("code", [404, 409])
@in_no_time
async def test_an_object_that_is_gone_is_no_error(code: int) -> None:
    scene = Scene()
    known = scene.known()

    def gone(verb: str, path: str) -> None:
        if path == PATH:
            raise ApiError(code, "", "gone, or another")

    scene.api.fail = gone
    await scene.writer.write(PATH, known, status())

    assert scene.events() == []
    assert scene.writer._last == {}


@in_no_time
async def test_a_failure_is_told_and_the_next_attempt_writes() -> None:
    scene = Scene()

    def away(verb: str, path: str) -> None:
        raise ApiError(503, "", "away")

    scene.api.fail = away
    with pytest.raises(ApiError):
        await scene.writer.write(PATH, scene.known(), status())
    scene.api.fail = lambda verb, path: None
    await scene.writer.write(PATH, scene.known(), status())

    assert "status" in scene.stored
    assert scene.writer._writing == set()


@in_no_time
async def test_a_message_alone_is_no_event() -> None:
    scene = Scene()
    await scene.writer.write(PATH, scene.known(), status())
    await scene.writer.write(PATH, scene.known(), status(message="another"))

    assert scene.written() == 2
    assert scene.events() == ["Ready"]


@in_no_time
async def test_objects_are_counted_by_reason_until_they_are_gone() -> None:
    def counted() -> dict[str, float]:
        scene.writer.measure()
        (gauge,) = metrics.OBJECTS.collect()
        return {sample.labels["reason"]: sample.value for sample in gauge.samples}

    scene = Scene()
    await scene.writer.write(PATH, scene.known(), status("Activating", "False"))
    assert counted() == {"Activating": 1}
    await scene.writer.write(PATH, scene.known(), status())
    await scene.writer.write(PATH, scene.known(), status())  # nothing to write, and still counted
    assert counted() == {"Ready": 1}
    scene.writer.forget(PATH)
    assert counted() == {}
