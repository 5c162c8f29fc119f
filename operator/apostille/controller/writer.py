"""The one place that writes statuses: by server-side apply, and only when something changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from apostille.core.status import event
from apostille.kinds.decode import Unreadable
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.status import Status, to_json
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.kube.client import ApiError, Client
from apostille.kube.recorder import Recorder
from apostille.model.conditions import find
from apostille.model.names import API_VERSION, BINDING_KIND, TRUST_KIND
from apostille.telemetry import metrics

MANAGER = "apostille/status"


@dataclass(frozen=True, slots=True)
class _Written:
    uid: str
    version: int
    status: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Told:
    kind: str
    reason: str
    pods: Mapping[str, int]


class StatusWriter:
    """Remembers what it wrote, since the copy of an object may be older than its last status."""

    def __init__(self, client: Client, recorder: Recorder) -> None:
        self._client, self._recorder = client, recorder
        self._last: dict[str, _Written] = {}
        self._told: dict[str, _Told] = {}
        self._writing: set[str] = set()

    async def write(self, path: str, about: FederationTrust | WorkloadBinding | Unreadable, status: Status) -> None:
        """Raises ApiError, but not for an object that is gone."""
        last = self._last.get(path)
        before = last.status if last is not None and last.uid == about.uid else about.raw_status
        document = _timed(to_json(status), before)
        kind, metadata = _reference(about)
        ready = find(document["conditions"], "Ready")
        self._told[path] = _Told(kind, ready["reason"], document.get("pods") or {})
        if document == before:
            return
        # With its uid, so that an object that was made anew meanwhile does not get the status of the one before.
        body = {
            "apiVersion": API_VERSION,
            "kind": kind,
            "metadata": {**metadata, "uid": about.uid},
            "status": document,
        }
        self._writing.add(path)
        try:
            raw = await self._client.apply(path, body, manager=MANAGER)
        except ApiError as error:
            self._last.pop(path, None)
            if error.code in (404, 409):
                return  # gone, or made anew: its event is on the way
            raise
        finally:
            self._writing.discard(path)
        self._last[path] = _Written(about.uid, int(raw["metadata"]["resourceVersion"]), raw.get("status") or {})
        old = find(before.get("conditions") or [], "Ready")
        if (old.get("status"), old.get("reason")) != (ready["status"], ready["reason"]):
            type_of, note = event(ready)
            reference = {"apiVersion": API_VERSION, "kind": kind, "uid": about.uid, **metadata}
            await self._recorder.record(reference, type_of, ready["reason"], note)

    def differs(self, path: str, raw: dict[str, Any]) -> bool:
        """Whether somebody else has changed a status since it was written; it is then to be written again."""
        last = self._last.get(path)
        if last is None or path in self._writing or int(raw["metadata"]["resourceVersion"]) <= last.version:
            return False
        if (raw.get("status") or {}) == last.status:
            return False
        del self._last[path]
        return True

    def forget(self, path: str) -> None:
        """The object is gone."""
        self._last.pop(path, None)
        self._told.pop(path, None)

    def measure(self) -> None:
        """Sets the gauges of what statuses say; a reason that nobody has any more is gone, not 0."""
        metrics.OBJECTS.clear()
        for (kind, reason), count in Counter((told.kind, told.reason) for told in self._told.values()).items():
            metrics.OBJECTS.labels(kind, reason).set(count)
        for state in ("matched", "injected", "stale", "missing"):
            metrics.PODS.labels(state).set(sum(told.pods.get(state, 0) for told in self._told.values()))


def _reference(about: FederationTrust | WorkloadBinding | Unreadable) -> tuple[str, dict[str, str]]:
    if isinstance(about, FederationTrust):
        return TRUST_KIND, {"name": about.name}
    kind = about.kind if isinstance(about, Unreadable) else BINDING_KIND
    return kind, {"name": about.name} | ({"namespace": about.namespace} if about.namespace else {})


def _timed(document: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """With the transition times of what was written last: the object's copy may not know them yet."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for condition in document["conditions"]:
        old = find(before.get("conditions") or [], condition["type"])
        same = old.get("status") == condition["status"]
        condition["lastTransitionTime"] = (old.get("lastTransitionTime") if same else None) or now
    return document
