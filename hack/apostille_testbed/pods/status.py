"""A pod's status from its containers, by the kubelet's rules (pkg/kubelet/kubelet_pods.go, getPhase). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apostille_testbed.pods.container import Container, Kind, now

Object = dict[str, Any]
OWNED = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")


def phase(containers: Sequence[Container], finished: bool) -> str:
    """`finished`: nothing of the pod will be started again."""
    apps = [container for container in containers if container.kind is Kind.APP]
    if finished:
        good = all(app.succeeded for app in apps)
        return "Succeeded" if good else "Failed"
    begun = any(app.process is not None for app in apps)
    return "Running" if begun and initialized(containers) else "Pending"


def initialized(containers: Sequence[Container]) -> bool:
    """Every init container has succeeded and every sidecar has started (once it has, apps run)."""
    if any(container.kind is Kind.APP and container.process is not None for container in containers):
        return True
    return all(
        container.succeeded if container.kind is Kind.INIT else container.started.is_set()
        for container in containers
        if container.kind is not Kind.APP
    )


def status(
    pod: Object, containers: Sequence[Container], finished: bool, sandboxed: bool, host_ip: str, pod_ip: str, start: str
) -> Object:
    """The complete PodStatus as a merge patch; conditions of others (readiness gates) are kept."""
    told = phase(containers, finished)
    serving = [container for container in containers if container.kind is not Kind.INIT]
    unready = [container.name for container in serving if not container.ready]
    before = {item["type"]: item for item in pod.get("status", {}).get("conditions", ())}
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates", ())]
    gated = [gate for gate in gates if before.get(gate, {}).get("status") != "True"]
    because: Object = {}
    if finished:
        because = {"reason": "PodCompleted" if told == "Succeeded" else "PodFailed"}
    elif unready:
        because = {"reason": "ContainersNotReady", "message": f"containers with unready status: [{' '.join(unready)}]"}
    whole = not unready and not finished
    gate = {"reason": "ReadinessGatesNotReady", "message": f"waiting for {', '.join(gated)}"} if whole and gated else {}
    not_begun = {"reason": "ContainersNotInitialized"} if not initialized(containers) else {}
    values: list[tuple[str, bool, Object]] = [
        ("PodReadyToStartContainers", sandboxed, {}),
        ("Initialized", initialized(containers), not_begun),
        ("ContainersReady", whole, because),
        ("Ready", whole and not gated, because or gate),
    ]
    conditions = [item for name, item in before.items() if name not in OWNED]
    for name, value, why in values:
        said = "True" if value else "False"
        old = before.get(name, {})
        changed = now() if old.get("status") != said else old.get("lastTransitionTime", now())
        conditions.append({"type": name, "status": said, "lastTransitionTime": changed, **why})
    addresses = {"podIP": pod_ip, "podIPs": [{"ip": pod_ip}]} if sandboxed or finished else {}
    initial = [container.status() for container in containers if container.kind is not Kind.APP]
    return {
        "phase": told,
        "startTime": start,
        "hostIP": host_ip,
        "hostIPs": [{"ip": host_ip}],
        **addresses,
        "conditions": conditions,
        **({"initContainerStatuses": initial} if initial else {}),
        "containerStatuses": [container.status() for container in containers if container.kind is Kind.APP],
    }
