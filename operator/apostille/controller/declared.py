"""The two kinds, as they come: events of the source, and lists that catch what it misses."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from apostille.controller.events import EventSource
from apostille.controller.state import State
from apostille.kube.client import BINDINGS, TRUSTS, ApiError, Client
from apostille.kube.connection import Connection
from apostille.model.names import BINDING_PLURAL, TRUST_PLURAL
from apostille.telemetry.logging import about

log = logging.getLogger(__name__)

LIST_SECONDS, SOON_SECONDS, RETRY_SECONDS = 60.0, 2.0, 2.0
# What a list has found and the source has not told by then, it has missed.
GRACE_SECONDS = 5.0

Id = tuple[str, str, str]
"""Plural, namespace and name."""


class Declared:
    """Keeps ``State`` up to date. ``changed(plural, namespace, name)`` is called where reconcilers have to look,

    ``touched(plural, raw)`` where an object came whose declaration is as it was.
    """

    def __init__(
        self,
        connection: Connection,
        client: Client,
        state: State,
        changed: Callable[[str, str, str], None],
        touched: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._client, self._state, self._changed, self._touched = client, state, changed, touched
        self._source = EventSource(connection, self._heard, self._begin)
        self._missed: dict[Id, int] = {}
        self._soon = asyncio.Event()
        self._confirmed = _now()
        self.listed = asyncio.Event()
        """Set once everything that is declared is known."""

    @property
    def silence(self) -> float:
        """Seconds since a list has shown what is declared."""
        return _now() - self._confirmed

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._source.run())
            group.create_task(self._list_now_and_then())

    async def _begin(self) -> None:
        """Returns once both kinds are served and listed."""
        told = ""
        while True:
            try:
                if await self._list():
                    break
                problem = "the two kinds are not served: are the CustomResourceDefinitions of Apostille installed?"
            except ApiError as error:
                problem = str(error)
            if problem != told:
                log.warning("waiting for the two kinds", extra={"reason": problem})
                told = problem
            await asyncio.sleep(RETRY_SECONDS)
        self._missed.clear()
        self.listed.set()

    async def _list_now_and_then(self) -> None:
        await self.listed.wait()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LIST_SECONDS):
                    await self._soon.wait()
                await asyncio.sleep(SOON_SECONDS)
            self._soon.clear()
            try:
                await self._list()
            except ApiError as error:
                log.warning("periodic list failed", extra={"reason": str(error)})
                continue
            if self._missed:
                await asyncio.sleep(GRACE_SECONDS)
            if self._missed:
                log.warning("event source has missed something", extra={"objects": len(self._missed)})
                self._missed.clear()
                self._source.restart()

    async def _list(self) -> bool:
        """Takes over what is there, drops what is not; whether both kinds are served. Raises ApiError."""
        served = True
        for plural, resource in ((TRUST_PLURAL, TRUSTS), (BINDING_PLURAL, BINDINGS)):
            try:
                items, version = await self._client.list_all(resource.path())
            except ApiError as error:
                if error.code != 404:
                    raise
                # The kind is gone, and with it all of its objects.
                served, items, version = False, [], ""
            present = {(item["metadata"].get("namespace", ""), item["metadata"]["name"]) for item in items}
            absent = self._state.absent(plural, present, int(version) if version else None)
            if absent is None:
                continue  # two lists have overtaken each other
            for key, known in absent:
                self._missed[(plural, *key)] = known
                if self._state.drop(plural, *key, known):
                    self._changed(plural, *key)
            for item in items:
                if self._take(plural, item):
                    metadata = item["metadata"]
                    key = (metadata.get("namespace", ""), metadata["name"])
                    self._missed[(plural, *key)] = int(metadata["resourceVersion"])
        self._confirmed = _now()
        return served

    def _heard(self, plural: str, event: str, raw: dict[str, Any]) -> None:
        metadata = raw["metadata"]
        key = (plural, metadata.get("namespace", ""), metadata["name"])
        version = int(metadata["resourceVersion"])
        if version >= self._missed.get(key, version + 1):
            del self._missed[key]
        if not event:
            self._soon.set()  # a watch has begun anew: what was deleted before that, it does not tell
        if event != "DELETED":
            self._take(plural, raw)
        elif self._state.drop(*key, version):
            self._changed(*key)

    def _take(self, plural: str, raw: dict[str, Any]) -> bool:
        metadata = raw["metadata"]
        try:
            if not self._state.put(plural, raw):
                self._touched(plural, raw)
                return False
        except Exception:
            # One object that nobody foresaw must not stand in the way of all others.
            kind = (TRUSTS if plural == TRUST_PLURAL else BINDINGS).kind
            named = about(kind, metadata["name"], metadata.get("namespace", ""), str(metadata.get("uid", "")))
            log.exception("object not understood", extra={**named})
            return False
        self._changed(plural, metadata.get("namespace", ""), metadata["name"])
        return True


def _now() -> float:
    return asyncio.get_running_loop().time()
