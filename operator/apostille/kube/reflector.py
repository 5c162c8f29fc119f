"""A local copy of a collection: list, then watch; what vanished during a gap is removed by the next list."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from apostille.kube.client import ApiError, Client, kind_at
from apostille.telemetry.logging import about

T = TypeVar("T")
Key = tuple[str, str]
Changed = Callable[[Key, Any, Any], None]

log = logging.getLogger(__name__)

WATCH_SECONDS = 300
# A busy collection has a bookmark about once a minute (kube-apiserver bookmarkFrequency). Where nothing came for longer
# the connection may be dead: the watch goes on over a new one, from where it was.
SILENCE_SECONDS = 90.0
FIRST_BACKOFF, MAX_BACKOFF = 0.2, 5.0
# A watch that lived this long was a good one: the next failure is not counted with those before it.
CALM_SECONDS = 10.0
EXPIRED = 410


class Reflector(Generic[T]):
    """``decode`` makes the kept value of a raw object, or None for one that is not to be kept.

    ``changed(key, before, after)`` is called in the event loop for every change; None stands for absence.
    ``name``: only the object of that name, for which a right by name suffices.
    ``listed()`` is called after every list: at the start, and when the API server was lost and found again.
    """

    def __init__(
        self,
        client: Client,
        path: str,
        decode: Callable[[dict[str, Any]], T | None],
        changed: Changed | None = None,
        *,
        selector: str = "",
        name: str = "",
        listed: Callable[[], None] | None = None,
        silence: float = SILENCE_SECONDS,
    ) -> None:
        self._client, self._path, self._decode, self._changed = client, path, decode, changed
        self._parameters = {"labelSelector": selector} if selector else {}
        if name:
            self._parameters["fieldSelector"] = f"metadata.name={name}"
        self._listed, self._silence = listed, silence
        self._store: dict[Key, T] = {}
        self.synced = asyncio.Event()
        self._heard = _now()

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
        return _now() - self._heard

    async def run(self) -> None:
        """Until cancelled. Every failure leads to a new list after a growing, jittered pause."""
        backoff = FIRST_BACKOFF
        while True:
            began = _now()
            try:
                await self._watch(await self._list())
            except ApiError as error:
                if _now() - began > CALM_SECONDS:
                    backoff = FIRST_BACKOFF
                level = logging.DEBUG if error.code == EXPIRED else logging.WARNING
                log.log(level, "watch lost, listing again", extra={"path": self._path, "reason": str(error)})
                await asyncio.sleep(error.retry_after or backoff * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
                backoff = min(backoff * 2, MAX_BACKOFF)

    async def _list(self) -> str:
        items, version = await self._client.list_all(self._path, **self._parameters)
        self._heard = _now()
        fresh = {_key(raw): self._read(raw) for raw in items}
        for key in [*self._store]:
            if fresh.get(key) is None:
                self._set(key, None)
        for key, value in fresh.items():
            self._set(key, value)
        self.synced.set()
        if self._listed is not None:
            self._listed()
        return version

    async def _watch(self, version: str) -> None:
        while True:
            began = _now()
            async for event in self._client.watch(
                self._path,
                version,
                seconds=WATCH_SECONDS + random.randrange(60),  # noqa: S311 - jitter
                silence=self._silence,
                **self._parameters,
            ):
                self._heard = _now()
                if event is None:
                    continue
                raw = event["object"]
                version = raw["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._set(_key(raw), None if event["type"] == "DELETED" else self._read(raw))
            if _now() - began < 1.0:
                await asyncio.sleep(1.0)  # a server that ends every watch at once is not to be asked in a circle

    def _read(self, raw: dict[str, Any]) -> T | None:
        try:
            return self._decode(raw)
        except Exception:
            # One object that nobody foresaw must not cost the copy of all others.
            namespace, name = _key(raw)
            named = about(kind_at(self._path), name, namespace, str(raw["metadata"].get("uid", "")))
            log.exception("object not understood", extra={**named})
            return None

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


def _now() -> float:
    return asyncio.get_running_loop().time()
