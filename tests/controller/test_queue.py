"""The work queue, by a clock that jumps."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from apostille.controller.queue import MAX_BACKOFF, Queue
from apostille.kube.client import ApiError
from jumping_loop import in_no_time, now

Work = Callable[[str], Awaitable[float | None]]


class Worked:
    """Records when which key was worked on; each takes a second."""

    def __init__(self) -> None:
        self.at: list[tuple[str, float]] = []
        self.now: set[str] = set()
        self.answer: Callable[[str], float | None] = lambda key: None

    async def __call__(self, key: str) -> float | None:
        assert key not in self.now, "a key is worked on twice at a time"
        self.now.add(key)
        self.at.append((key, now()))
        try:
            await asyncio.sleep(1)
            return self.answer(key)
        finally:
            self.now.discard(key)

    def times(self, key: str) -> list[float]:
        return [at for of, at in self.at if of == key]


def running(work: Work, workers: int = 4) -> Queue[str]:
    queue = Queue(work, workers=workers)
    queue.task = asyncio.create_task(queue.run())  # type: ignore[attr-defined]
    return queue


@in_no_time
async def test_a_key_that_waits_waits_once() -> None:
    worked = Worked()
    queue = running(worked, workers=1)
    for _ in range(10):
        queue.add("a")
        queue.add("b")
    await asyncio.sleep(10)

    assert [key for key, _ in worked.at] == ["a", "b"]
    assert len(queue) == 0


@in_no_time
async def test_a_key_that_changes_while_it_is_worked_on_comes_once_more() -> None:
    worked = Worked()
    queue = running(worked)
    queue.add("a")
    await asyncio.sleep(0.5)
    for _ in range(10):
        queue.add("a")
    await asyncio.sleep(10)

    assert len(worked.at) == 2


@in_no_time
async def test_one_key_at_a_time_whatever_comes() -> None:
    worked, chance = Worked(), random.Random(1)  # noqa: S311 - repeatable
    queue = running(worked)
    for _ in range(500):
        (queue.add if chance.random() < 0.5 else lambda key: queue.add_later(key, chance.random()))(
            chance.choice("abc")
        )
        await asyncio.sleep(chance.random() / 5)
    await asyncio.sleep(10)

    assert {key for key, _ in worked.at} == {"a", "b", "c"}
    assert not queue.task.done()  # type: ignore[attr-defined]


@in_no_time
async def test_a_failing_key_comes_ever_more_rarely_and_stops_nobody() -> None:
    worked = Worked()

    def fail(key: str) -> float | None:
        if key == "bad":
            raise ValueError("broken")
        return None

    worked.answer = fail
    queue = running(worked, workers=1)
    queue.add("bad")
    await asyncio.sleep(600)
    queue.add("good")
    await asyncio.sleep(5)

    pauses = [b - a for a, b in zip(worked.times("bad"), worked.times("bad")[1:], strict=False)]
    assert pauses[0] < 1.5
    assert max(pauses) <= MAX_BACKOFF + 1
    assert pauses[-1] >= MAX_BACKOFF / 2
    assert len(worked.times("good")) == 1


@in_no_time
async def test_success_is_a_new_beginning() -> None:
    worked = Worked()
    bad = {"yes": True}

    def fail(key: str) -> float | None:
        if bad["yes"]:
            raise ApiError(503, "", "away")
        return None

    worked.answer = fail
    queue = running(worked)
    queue.add("a")
    await asyncio.sleep(300)
    bad["yes"] = False
    await asyncio.sleep(MAX_BACKOFF + 2)
    worked.at.clear()
    bad["yes"] = True
    queue.add("a")
    await asyncio.sleep(3)

    assert len(worked.at) >= 2


@in_no_time
async def test_a_server_that_puts_off_is_obeyed() -> None:
    worked = Worked()
    first = {"yes": True}

    def put_off(key: str) -> float | None:
        if first.pop("yes", False):
            raise ApiError(429, "TooManyRequests", "later", retry_after=17.0)
        return None

    worked.answer = put_off
    queue = running(worked)
    queue.add("a")
    await asyncio.sleep(60)

    assert worked.times("a") == pytest.approx([0, 18])


@in_no_time
async def test_the_earliest_of_several_times_holds() -> None:
    worked = Worked()
    queue = running(worked)
    queue.add_later("a", 10)
    queue.add_later("a", 5)
    queue.add_later("a", 20)
    await asyncio.sleep(60)
    assert worked.times("a") == pytest.approx([5])

    queue.add_later("a", 10)
    queue.add("a")
    await asyncio.sleep(60)
    assert worked.times("a") == pytest.approx([5, 60])


@in_no_time
async def test_a_key_asks_when_it_is_due_again() -> None:
    worked = Worked()
    worked.answer = lambda key: 9.0
    queue = running(worked)
    queue.add("a")
    await asyncio.sleep(45)

    assert worked.times("a") == pytest.approx([0, 10, 20, 30, 40])


@in_no_time
async def test_a_crowd_of_keys_is_shared_among_the_workers() -> None:
    worked = Worked()
    queue = running(worked, workers=4)
    for number in range(40):
        queue.add(str(number))
    await asyncio.sleep(10.5)

    assert len(worked.at) == 40
