"""A level-triggered work queue: a key waits once, is worked on once at a time, and comes back later after a failure."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Generic, TypeVar

from apostille.kube.client import ApiError
from apostille.kube.lease import LeaseLost
from apostille.telemetry import metrics

K = TypeVar("K", bound=Hashable)

log = logging.getLogger(__name__)

FIRST_BACKOFF, MAX_BACKOFF = 0.2, 30.0


class Queue(Generic[K]):
    """``work(key)`` returns seconds until the key is due again, or None. An exception brings it back with back-off.

    ``named(key)`` are the fields of a log line that say which object a key stands for.
    """

    def __init__(
        self,
        work: Callable[[K], Awaitable[float | None]],
        *,
        workers: int = 4,
        named: Callable[[K], Mapping[str, object]] = lambda key: {},
    ) -> None:
        self._work, self._workers, self._named = work, workers, named
        self._ready: asyncio.Queue[K] = asyncio.Queue()
        self._waiting: set[K] = set()
        self._active: set[K] = set()
        self._again: set[K] = set()
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, key: K) -> None:
        """Work on ``key`` as soon as possible; a key that is being worked on comes again afterwards."""
        if (timer := self._timers.pop(key, None)) is not None:
            timer.cancel()
        if key in self._active:
            self._again.add(key)
        elif key not in self._waiting:
            self._waiting.add(key)
            self._ready.put_nowait(key)

    def add_later(self, key: K, seconds: float) -> None:
        """Work on ``key`` in some time, unless it comes earlier."""
        if key in self._waiting or key in self._again:
            return
        loop = asyncio.get_running_loop()
        known = self._timers.get(key)
        if known is not None:
            if known.when() <= loop.time() + seconds:
                return
            known.cancel()
        self._timers[key] = loop.call_later(max(0.0, seconds), self._due, key)

    def _due(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._worker())

    async def _worker(self) -> None:
        while True:
            key = await self._ready.get()
            self._waiting.discard(key)
            self._active.add(key)
            kind, started = str(key[0]) if isinstance(key, tuple) else str(key), time.perf_counter()
            wait: float | None = None
            try:
                wait = await self._work(key)
                self._failures.pop(key, None)
                metrics.RECONCILES.labels(kind, "done").inc()
            except Exception as error:
                wait = self._failed(key, kind, error)
            finally:
                metrics.RECONCILE_SECONDS.labels(kind).observe(time.perf_counter() - started)
                self._active.discard(key)
                again = key in self._again
                self._again.discard(key)
            if again:
                self.add(key)
            elif wait is not None:
                self.add_later(key, wait)

    def _failed(self, key: K, kind: str, error: Exception) -> float:
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        ceiling = min(MAX_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures, 12))
        wait: float = getattr(error, "retry_after", None) or ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
        metrics.RECONCILES.labels(kind, "retried").inc()
        log.warning(
            "will be tried again",
            extra={
                "task": kind,
                **self._named(key),
                "seconds": round(wait, 1),
                "reason": f"{type(error).__name__}: {error}",
            },
            # What the API server refuses is known; anything else is our mistake and needs its place.
            exc_info=None if isinstance(error, ApiError | LeaseLost) else error,
        )
        return wait
