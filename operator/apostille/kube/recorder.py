"""Events (events.k8s.io/v1) on our objects: on changes only; the same again counts up the one that is there."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from apostille.kube.client import EVENTS, ApiError, Client
from apostille.telemetry import metrics
from apostille.telemetry.logging import about

log = logging.getLogger(__name__)

# How long the same words count as the same Event, and how often its count is written at most.
SAME_SECONDS, COUNT_SECONDS = 1800.0, 60.0
# Only one object's reasons can differ without end; beyond this the oldest are forgotten.
MAX_REMEMBERED = 10_000
MAX_NOTE = 1024  # characters (events.k8s.io/v1 note)


@dataclass(slots=True)
class _Said:
    path: str
    first: float
    written: float
    count: int = 1


class Recorder:
    """An Event that cannot be written is logged and forgotten: nothing depends on it."""

    def __init__(self, client: Client, instance: str) -> None:
        self._client, self._instance = client, instance
        self._said: dict[tuple[str, str, str], _Said] = {}

    async def record(self, regarding: Mapping[str, str], kind: str, reason: str, note: str) -> None:
        """``regarding`` is an object reference, ``kind`` Normal or Warning. A cluster-scoped one's go to `default`."""
        key, now = (regarding["uid"], reason, note), asyncio.get_running_loop().time()
        said = self._said.get(key)
        try:
            if said is not None and now - said.first < SAME_SECONDS:
                said.count += 1
                if now - said.written >= COUNT_SECONDS:
                    said.written = now
                    await self._client.merge(
                        said.path, {"series": {"count": said.count, "lastObservedTime": _timestamp()}}
                    )
                return
            self._forget(now)
            namespace = regarding.get("namespace") or "default"
            name = f"{regarding['name'][:40]}.{uuid.uuid4().hex[:16]}"
            self._said[key] = _Said(EVENTS.path(name, namespace=namespace), now, now)
            await self._client.create(
                EVENTS.path(namespace=namespace), self._event(name, namespace, regarding, kind, reason, note)
            )
        except ApiError as error:
            self._said.pop(key, None)
            metrics.EVENTS_LOST.inc()
            named = about(regarding["kind"], regarding["name"], regarding.get("namespace", ""), regarding["uid"])
            log.warning("event not written", extra={**named, "reason": str(error)})

    def _forget(self, now: float) -> None:
        while self._said:
            key, oldest = next(iter(self._said.items()))
            if now - oldest.first < SAME_SECONDS and len(self._said) < MAX_REMEMBERED:
                return
            del self._said[key]

    def _event(
        self, name: str, namespace: str, regarding: Mapping[str, str], kind: str, reason: str, note: str
    ) -> dict[str, object]:
        return {
            "apiVersion": EVENTS.api_version,
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "eventTime": _timestamp(),
            "type": kind,
            "reason": reason,
            "note": note[:MAX_NOTE],
            "action": "Reconcile",
            "regarding": dict(regarding),
            "reportingController": "apostille.dev/controller",
            "reportingInstance": self._instance[:128],
        }


def _timestamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
