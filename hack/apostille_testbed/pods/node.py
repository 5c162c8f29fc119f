"""The Node object and its heartbeat."""

from __future__ import annotations

import asyncio
import datetime
import logging

from apostille_testbed.pods.api import Api, ApiError, Object
from apostille_testbed.pods.container import now

log = logging.getLogger("apostille.testbed.pods")
HEARTBEAT = 10.0
CAPACITY = {"cpu": "64", "memory": "256Gi", "pods": "500", "ephemeral-storage": "100Gi"}


def status(address: str, port: int, isolation: str) -> Object:
    """The node's status; `port` is where the API server finds the containers' logs."""
    conditions = [
        {"type": kind, "status": "False", "reason": "KubeletHasSufficient", "message": "", "lastHeartbeatTime": now()}
        for kind in ("MemoryPressure", "DiskPressure", "PIDPressure")
    ]
    ready = {"type": "Ready", "status": "True", "reason": "PodRunner", "message": isolation, "lastHeartbeatTime": now()}
    return {
        "capacity": CAPACITY,
        "allocatable": CAPACITY,
        "addresses": [{"type": "InternalIP", "address": address}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "conditions": [*conditions, ready],
    }


async def register(api: Api, name: str, address: str, port: int, isolation: str) -> None:
    """Creates the Node, or takes one of that name over, and sets its status. Raises ApiError."""
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    try:
        await api.call("POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": labels}})
    except ApiError as error:
        if error.reason != "AlreadyExists":
            raise
    await api.patch(f"/api/v1/nodes/{name}/status", {"status": status(address, port, isolation)})


async def heartbeat(api: Api, name: str) -> None:
    """Renews the node's Lease for ever; without it the controller manager would evict the pods."""
    base = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
    while True:
        stamp = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": stamp}
        try:
            try:
                await api.patch(f"{base}/{name}", {"spec": spec})
            except ApiError as error:
                if error.status != 404:
                    raise
                await api.call("POST", base, {"metadata": {"name": name}, "spec": spec})
        except ApiError as error:
            log.info("heartbeat: %s", error)
        await asyncio.sleep(HEARTBEAT)
