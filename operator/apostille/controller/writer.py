"""The one place that writes statuses: by server-side apply, and only when something changed."""

from __future__ import annotations

import logging
from typing import Any

from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.status import Status, to_json
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.kube.client import ApiError, Client
from apostille.kube.recorder import Recorder
from apostille.model.conditions import find
from apostille.model.names import API_VERSION, BINDING_KIND, TRUST_KIND

log = logging.getLogger(__name__)

MANAGER = "apostille/status"


class StatusWriter:
    """Remembers what it wrote, since the copy of an object may be older than its last status."""

    def __init__(self, client: Client, recorder: Recorder) -> None:
        self._client, self._recorder = client, recorder
        self._last: dict[str, tuple[str, dict[str, Any]]] = {}

    async def write(self, path: str, about: FederationTrust | WorkloadBinding, status: Status) -> None:
        """Raises ApiError, but not for an object that is gone."""
        before = about.raw_status
        if path in self._last and self._last[path][0] == about.uid:
            before = self._last[path][1]
        document = _keep_times(to_json(status), before)
        if document == before:
            return
        kind = TRUST_KIND if isinstance(about, FederationTrust) else BINDING_KIND
        metadata = {"name": about.name} | ({"namespace": about.namespace} if isinstance(about, WorkloadBinding) else {})
        body = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "status": document}
        try:
            await self._client.apply(path, body, manager=MANAGER)
        except ApiError as error:
            if error.code == 404:
                self._last.pop(path, None)
                return
            raise
        self._last[path] = (about.uid, document)
        old, new = find(before.get("conditions") or [], "Ready"), find(document["conditions"], "Ready")
        if (old.get("status"), old.get("reason")) != (new["status"], new["reason"]):
            kind_of = "Normal" if new["status"] == "True" or new["reason"] == "Activating" else "Warning"
            reference = {"apiVersion": API_VERSION, "kind": kind, "uid": about.uid, **metadata}
            await self._recorder.record(reference, kind_of, new["reason"], new["message"])


def _keep_times(document: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """A transition time that was written stays, also where the object's copy did not know it yet."""
    for condition in document["conditions"]:
        old = find(before.get("conditions") or [], condition["type"])
        if old.get("status") == condition["status"]:
            condition["lastTransitionTime"] = old["lastTransitionTime"]
    return document
