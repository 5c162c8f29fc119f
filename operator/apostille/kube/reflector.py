"""A local copy of a collection: list, then watch; what vanished during a gap is removed by the next list."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from apostille.kube.client import ApiError, Client

T = TypeVar("T")
Key = tuple[str, str]
Changed = Callable[[Key, Any, Any], None]

log = logging.getLogger(__name__)

WATCH_SECONDS = 300
# The API server sends a bookmark about once a minute (kube-apiserver bookmarkFrequency).
SILENCE_SECONDS = 90.0
MAX_BACKOFF = 15.0


class Reflector(Generic[T]):
    """``decode`` makes the kept value of a raw object, or None for one that is not to be kept.

    ``changed(key, before, after)`` is called in the event loop for every change; None stands for absence.
    """

    def __init__(
        self, client: Client, path: str, decode: Callable[[dict[str, Any]], T | None], changed: Changed | None = None
    ) -> None:
        self._client, self._path, self._decode, self._changed = client, path, decode, changed
        self._store: dict[Key, T] = {}
        self.synced = asyncio.Event()
        self._heard = time.monotonic()

    def get(self, namespace: str, name: str) -> T | None:
        """The kept value; ``namespace`` is empty for cluster-scoped objects."""
        return self._store.get((namespace, name))

    def __iter__(self) -> Iterator[T]:
        return iter(list(self._store.values()))

    def __len__(self) -> int:
        return len(self._store)

    @property
    def silence(self) -> float:
        """Seconds since the API server was last heard; what liveness looks at."""
        return time.monotonic() - self._heard

    async def run(self) -> None:
        """Until cancelled. Every failure leads to a new list after a growing, jittered pause."""
        backoff = 0.2
        while True:
            try:
                version = await self._list()
                backoff = 0.2
                await self._watch(version)
            except ApiError as error:
                log.warning("watch lost, listing again", extra={"path": self._path, "reason": str(error)})
                await asyncio.sleep(error.retry_after or backoff * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                backoff = min(backoff * 2, MAX_BACKOFF)

    async def _list(self) -> str:
        items, version = await self._client.list_all(self._path)
        self._heard = time.monotonic()
        fresh = {key: value for raw in items if (value := self._decode(raw)) is not None for key in [_key(raw)]}
        for key in [*self._store]:
            if key not in fresh:
                self._set(key, None)
        for key, value in fresh.items():
            self._set(key, value)
        self.synced.set()
        return version

    async def _watch(self, version: str) -> None:
        while True:
            async for event in self._client.watch(
                self._path,
                version,
                seconds=WATCH_SECONDS + random.randrange(60),
                silence=SILENCE_SECONDS,  # noqa: S311
            ):
                self._heard = time.monotonic()
                raw = event["object"]
                version = raw["metadata"]["resourceVersion"]
                if event["type"] == "BOOKMARK":
                    continue
                self._set(_key(raw), None if event["type"] == "DELETED" else self._decode(raw))

    def _set(self, key: Key, value: T | None) -> None:
        before = self._store.get(key)
        if value is None:
            self._store.pop(key, None)
        else:
            self._store[key] = value
        if self._changed is not None and before != value:
            self._changed(key, before, value)


def _key(raw: dict[str, Any]) -> Key:
    metadata = raw["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
