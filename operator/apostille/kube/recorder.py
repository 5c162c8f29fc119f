"""Events (events.k8s.io/v1) on our objects: on changes only, the same text not again for a while."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

from apostille.kube.client import EVENTS, ApiError, Client

log = logging.getLogger(__name__)

QUIET_SECONDS = 300.0
MAX_NOTE = 1024  # characters (events.k8s.io/v1 note)


class Recorder:
    """An Event that cannot be written is logged and forgotten: nothing depends on it."""

    def __init__(self, client: Client, instance: str) -> None:
        self._client, self._instance = client, instance
        self._said: dict[tuple[str, str, str], float] = {}

    async def record(self, about: Mapping[str, str], kind: str, reason: str, note: str) -> None:
        """``about`` is an object reference; ``kind`` is Normal or Warning. Cluster-scoped objects go to `default`."""
        key, now = (about["uid"], reason, note), time.monotonic()
        if now - self._said.get(key, -QUIET_SECONDS) < QUIET_SECONDS:
            return
        self._said = {k: at for k, at in self._said.items() if now - at < QUIET_SECONDS} | {key: now}
        namespace = about.get("namespace") or "default"
        body = {
            "apiVersion": EVENTS.api_version,
            "kind": "Event",
            "metadata": {"name": f"{about['name'][:40]}.{uuid.uuid4().hex[:16]}", "namespace": namespace},
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "type": kind,
            "reason": reason,
            "note": note[:MAX_NOTE],
            "action": "Reconcile",
            "regarding": dict(about),
            "reportingController": "apostille.dev/controller",
            "reportingInstance": self._instance[:128],
        }
        try:
            await self._client.create(EVENTS.path(namespace=namespace), body)
        except ApiError as error:
            log.warning("event not written", extra={"reason": str(error)})
