"""Events on pods, as the kubelet writes them: the same trouble again raises the count of one Event."""

from __future__ import annotations

import logging
import uuid

from apostille_testbed.pods.api import Api, ApiError, Object
from apostille_testbed.pods.container import now

log = logging.getLogger("apostille.testbed.pods")


class Events:
    """Writes core/v1 Events with the node's identity. A failure to write one is logged and otherwise harmless."""

    def __init__(self, api: Api, node: str) -> None:
        self._api = api
        self._node = node
        self._written: dict[tuple[str, str, str], tuple[str, int]] = {}

    async def warn(self, pod: Object, reason: str, message: str) -> None:
        meta = pod["metadata"]
        base = f"/api/v1/namespaces/{meta['namespace']}/events"
        key = (meta["uid"], reason, message)
        log.info("pod %s/%s: %s: %s", meta["namespace"], meta["name"], reason, message)
        try:
            if key in self._written:
                name, count = self._written[key]
                self._written[key] = (name, count + 1)
                await self._api.patch(f"{base}/{name}", {"count": count + 1, "lastTimestamp": now()})
                return
            name = f"{meta['name'][:200]}.{uuid.uuid4().hex[:16]}"
            reference = {"apiVersion": "v1", "kind": "Pod", "namespace": meta["namespace"], "name": meta["name"]}
            event = {
                "metadata": {"name": name, "namespace": meta["namespace"]},
                "involvedObject": {**reference, "uid": meta["uid"]},
                "reason": reason,
                "message": message[:1024],
                "type": "Warning",
                "source": {"component": "kubelet", "host": self._node},
                "firstTimestamp": now(),
                "lastTimestamp": now(),
                "count": 1,
            }
            await self._api.call("POST", base, event)
            self._written[key] = (name, 1)
        except ApiError as error:
            log.info("event %s on %s: %s", reason, meta["name"], error)
            if error.status == 404:
                self._written.pop(key, None)
