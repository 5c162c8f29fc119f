"""An API server in memory, as far as the controller's parts ask one: objects by path, versions, watches, failures."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from apostille.kube.client import ApiError

Object = dict[str, Any]


class ApiDouble:
    """Has the methods of `apostille.kube.client.Client`. Objects lie under the path of the collection and their name.

    ``fail`` is called with (verb, path) before each request and may raise; ``requests`` are all that came, in order.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.requests: list[tuple[str, str]] = []
        self.bodies: list[Mapping[str, Any]] = []
        self.warnings: Callable[[], list[str]] = list
        self.fail: Callable[[str, str], None] = lambda verb, path: None
        self.version = 100
        self._watchers: list[tuple[str, asyncio.Queue[Object | Exception | None]]] = []
        self._history: list[dict[str, Any]] = []

    def put(self, path: str, **fields: Any) -> Object:
        """Somebody else writes an object."""
        return self._store(path, fields)

    def drop(self, path: str) -> None:
        """Somebody else removes one."""
        gone = self.objects.pop(path)
        self.version += 1
        gone["metadata"]["resourceVersion"] = str(self.version)
        self._tell(path.rpartition("/")[0], {"type": "DELETED", "object": gone})

    def mute(self) -> None:
        """The watches that there are stay open and say nothing more."""
        self._watchers.clear()

    def end_watches(self, with_error: Exception | None = None) -> None:
        """As a server does that is stopped, or with an ERROR event."""
        for _, queue in self._watchers:
            queue.put_nowait(with_error)

    async def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Object:
        await self._arrive("GET", path)
        if path not in self.objects:
            raise ApiError(404, "NotFound", f"{path} not found")
        return copy.deepcopy(self.objects[path])

    async def list_all(self, path: str, **parameters: str) -> tuple[list[Object], str]:
        await self._arrive("LIST", path)
        items = [item for key, item in self.objects.items() if key.rpartition("/")[0] == path]
        # As an API server's: only the list says what they are.
        bare = [{key: value for key, value in item.items() if key not in ("apiVersion", "kind")} for item in items]
        return copy.deepcopy(bare), str(self.version)

    async def create(self, path: str, body: Mapping[str, Any], *, dry_run: bool = False) -> tuple[Object, list[str]]:
        await self._arrive("DRYRUN" if dry_run else "POST", path, body)
        name = str(body["metadata"]["name"])
        if dry_run:
            return dict(body), self.warnings()
        if f"{path}/{name}" in self.objects:
            raise ApiError(409, "AlreadyExists", f"{name} exists")
        return self._store(f"{path}/{name}", body), []

    async def replace(self, path: str, body: Mapping[str, Any]) -> Object:
        await self._arrive("PUT", path, body)
        known = self.objects.get(path)
        if known is None or known["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "the object has been modified")
        return self._store(path, body)

    async def apply(self, path: str, body: Mapping[str, Any], *, manager: str) -> Object:
        await self._arrive("APPLY", path, body)
        base = path.removesuffix("/status")
        known = self.objects.get(base)
        if base != path and known is None:
            raise ApiError(404, "NotFound", f"{base} not found")
        wanted = body["metadata"].get("resourceVersion")
        if wanted is not None and (known is None or known["metadata"]["resourceVersion"] != wanted):
            raise ApiError(409, "Conflict", "the object has been modified")
        merged = {**(known or {}), **copy.deepcopy(dict(body))}
        if known is not None and {**merged, "metadata": 0} == {**known, "metadata": 0}:
            return copy.deepcopy(known)
        return self._store(base, merged)

    async def merge(self, path: str, body: Mapping[str, Any]) -> Object:
        await self._arrive("MERGE", path, body)
        if path not in self.objects:
            raise ApiError(404, "NotFound", f"{path} not found")
        return self._store(path, _merged(self.objects[path], body))

    async def delete(self, path: str) -> None:
        await self._arrive("DELETE", path)
        if path in self.objects:
            self.drop(path)

    async def watch(
        self, path: str, resource_version: str, *, seconds: int, silence: float, **parameters: str
    ) -> AsyncIterator[Object | None]:
        await self._arrive("WATCH", path)
        queue: asyncio.Queue[Object | Exception | None] = asyncio.Queue()
        for event in self._history:
            if event["path"] == path and event["version"] > int(resource_version):
                queue.put_nowait(event["event"])
        self._watchers.append((path, queue))
        try:
            yield None
            while True:
                try:
                    async with asyncio.timeout(silence):
                        event = await queue.get()
                except TimeoutError:
                    return
                if event is None:
                    return
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self._watchers = [watcher for watcher in self._watchers if watcher[1] is not queue]

    async def _arrive(self, verb: str, path: str, body: Mapping[str, Any] | None = None) -> None:
        self.requests.append((verb, path))
        self.bodies.append(copy.deepcopy(dict(body or {})))
        await asyncio.sleep(0.001)
        self.fail(verb, path)

    def _store(self, path: str, body: Mapping[str, Any]) -> Object:
        collection, _, name = path.rpartition("/")
        stored = copy.deepcopy(dict(body))
        self.version += 1
        kind = "MODIFIED" if path in self.objects else "ADDED"
        stored["metadata"] = {**stored.get("metadata", {}), "name": name, "resourceVersion": str(self.version)}
        self.objects[path] = stored
        self._tell(collection, {"type": kind, "object": copy.deepcopy(stored)})
        return copy.deepcopy(stored)

    def _tell(self, collection: str, event: Object) -> None:
        self._history.append({"path": collection, "version": self.version, "event": event})
        for path, queue in self._watchers:
            if path == collection:
                queue.put_nowait(event)


def _merged(before: Mapping[str, Any], patch: Mapping[str, Any]) -> Object:
    merged = dict(before)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            merged[key] = _merged(merged.get(key) or {}, value)
        else:
            merged[key] = value
    return merged
