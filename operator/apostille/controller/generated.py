"""The objects that the controller generates, as they are in the cluster: hand edits and leftovers are seen at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any

from apostille.kube.client import BY_KIND, Client, Resource
from apostille.kube.reflector import Key, Reflector
from apostille.model.names import EVERYTHING_MANAGED
from apostille.telemetry.logging import about

log = logging.getLogger(__name__)

Raw = dict[str, Any]
Id = tuple[str, str]
"""Kind and name."""

# A cloud's admission enforcer adds to selectors: that narrows nothing of ours that it may not narrow (design §4).
_SELECTORS = frozenset({"namespaceSelector", "objectSelector"})
# What stands in these is read as a whole: a key that is not ours is a forgery.
_CLOSED = frozenset({"data"})


class Generated:
    """Copies of everything that carries our label, kept by watches and by the answers to our own writes.

    ``changed(kind, name)`` is called when somebody else changed an object, or removed it.
    """

    def __init__(self, client: Client, own_namespace: str, changed: Callable[[str, str], None]) -> None:
        self._client, self._own_namespace, self._changed = client, own_namespace, changed
        self._own: dict[Id, Raw] = {}
        self._removed: dict[Id, int] = {}
        self._given_up: dict[Id, tuple[str, Mapping[str, Any]]] = {}
        self._copies: dict[str, Reflector[Raw]] = {
            kind: Reflector(client, self._path(resource), _slim, self._heard(kind), selector=EVERYTHING_MANAGED)
            for kind, resource in BY_KIND.items()
        }

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            for copy in self._copies.values():
                group.create_task(copy.run())

    async def synced(self) -> None:
        """Returns once everything that is in the cluster is known."""
        for copy in self._copies.values():
            await copy.synced.wait()

    @property
    def silence(self) -> float:
        """Seconds since the API server was last heard, of the copy that has waited longest."""
        return max(copy.silence for copy in self._copies.values())

    def get(self, kind: str, name: str) -> Raw | None:
        """An object as it is now, as far as is known."""
        known = self._copies[kind].get(self._namespace(kind), name)
        if known is not None and _version(known) <= self._removed.get((kind, name), -1):
            known = None
        own = self._own.get((kind, name))
        if own is None or (known is not None and _version(known) >= _version(own)):
            return known
        return own

    def names(self, kind: str) -> set[str]:
        """All objects of a kind that carry our label."""
        copied = {raw["metadata"]["name"] for raw in self._copies[kind]}
        return {name for name in copied if self.get(kind, name)} | {name for of, name in self._own if of == kind}

    async def write(self, document: Mapping[str, Any], manager: str) -> bool:
        """Makes an object what ``document`` says, where it is not; whether anything was written. Raises ApiError.

        What others put into our lists and maps cannot be removed by an apply: then these are replaced as a whole.
        """
        identity = (str(document["kind"]), str(document["metadata"]["name"]))
        actual = self.get(*identity)
        # The items of a list do not say what they are.
        said = {key: value for key, value in document.items() if key not in ("apiVersion", "kind")}
        if actual is not None and covers(actual, said):
            return False
        if actual is not None and self._given_up.get(identity) == _state(actual, document):
            return False
        path = self._path(BY_KIND[identity[0]], identity[1])
        body = document
        if actual is not None:
            # What was decided holds for what was seen: a write that was under way for long, while another came to lead,
            # must not arrive.
            version = {"resourceVersion": actual["metadata"]["resourceVersion"]}
            body = {**document, "metadata": {**document["metadata"], **version}}
        written = _slim(await self._client.apply(path, body, manager=manager))
        if not covers(written, document):
            written = _slim(await self._client.merge(path, replacement(written, document)))
        if not covers(written, document):
            uid = written["metadata"].get("uid", "")
            named = about(*identity, self._namespace(identity[0]), uid)
            log.warning("object is not as it was written", extra={**named})
            self._given_up[identity] = _state(written, document)
        else:
            self._given_up.pop(identity, None)
        self._own[identity] = written
        return True

    async def remove(self, kind: str, name: str) -> None:
        """Raises ApiError; nothing happens where nothing is."""
        known = self.get(kind, name)
        await self._client.delete(self._path(BY_KIND[kind], name))
        if known is not None:
            self._removed[kind, name] = _version(known)  # until its watch tells the same
        self._own.pop((kind, name), None)
        self._given_up.pop((kind, name), None)

    async def remove_others(self, kind: str, keep: Collection[str]) -> None:
        """Removes what carries our label and is not wanted. Raises ApiError."""
        for name in sorted(self.names(kind) - set(keep)):
            await self.remove(kind, name)

    def _heard(self, kind: str) -> Callable[[Key, Raw | None, Raw | None], None]:
        def heard(key: Key, before: Raw | None, after: Raw | None) -> None:
            identity = (kind, key[1])
            own = self._own.get(identity)
            if after is None:
                self._removed.pop(identity, None)
            if own is not None and after is not None and _version(after) <= _version(own):
                return  # our own write comes back
            self._own.pop(identity, None)
            self._changed(*identity)

        return heard

    def _namespace(self, kind: str) -> str:
        return self._own_namespace if kind == "ConfigMap" else ""

    def _path(self, resource: Resource, name: str = "") -> str:
        namespace = self._own_namespace if resource is BY_KIND["ConfigMap"] else ""
        return resource.path(name, namespace=namespace)


def covers(actual: Any, wanted: Any, within: str = "") -> bool:
    """Whether an object is as wanted: what the API server fills in, and additions to selectors, do not matter."""
    if isinstance(wanted, Mapping):
        if not isinstance(actual, Mapping) or (within in _CLOSED and set(actual) - set(wanted)):
            return False
        inside = within in _SELECTORS
        return all(
            key in actual and covers(actual[key], value, within if inside else key) for key, value in wanted.items()
        )
    if isinstance(wanted, list | tuple):
        if not isinstance(actual, list):
            return False
        if within in _SELECTORS:
            return all(any(covers(have, want) for have in actual) for want in wanted)
        return len(actual) == len(wanted) and all(covers(*pair) for pair in zip(actual, wanted, strict=True))
    return bool(actual == wanted)


def replacement(actual: Mapping[str, Any], wanted: Mapping[str, Any]) -> Raw:
    """A merge patch that leaves nothing of others in what we write."""
    patch = {key: value for key, value in wanted.items() if key not in ("apiVersion", "kind")}
    for key in _CLOSED & set(patch):
        patch[key] = dict.fromkeys(actual.get(key) or ()) | dict(patch[key])
    return patch


def _state(actual: Raw, wanted: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    return actual["metadata"]["resourceVersion"], wanted


def _slim(raw: Mapping[str, Any]) -> Raw:
    return {**raw, "metadata": {key: value for key, value in raw["metadata"].items() if key != "managedFields"}}


def _version(raw: Mapping[str, Any]) -> int:
    return int(raw["metadata"]["resourceVersion"])
