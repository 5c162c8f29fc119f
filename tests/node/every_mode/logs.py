"""What containers wrote."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

from apostille_testbed import Node
from apostille_testbed.client import APIError
from node.every_mode.programs.run import MARK
from node.scene import log


def read(node: Node, namespace: str, account: str) -> Mapping[str, str]:
    """Container to what it wrote, of the one pod of a service account; without a process each time one looks."""
    pods = node.client.request("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
    (pod,) = (pod for pod in pods if pod["spec"]["serviceAccountName"] == account)
    containers = (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])
    name = pod["metadata"]["name"]
    return {container["name"]: _log(node, name, namespace, container["name"]) for container in containers}


def said(found: Mapping[str, str], container: str) -> list[str]:
    """What a program said."""
    return [line.removeprefix(MARK) for line in found[container].splitlines() if line.startswith(MARK)]


def sidecar(found: Mapping[str, str]) -> str:
    """What the one of a pod wrote, which may have been an ordinary init container."""
    return found.get("apostille-exchange") or found.get("apostille-init", "")


def exchanges(found: Mapping[str, str]) -> Counter[str]:
    """Binding to how often the sidecar got a credential for it, or a longer life of one."""
    lines = [json.loads(line) for line in sidecar(found).splitlines() if line.startswith("{")]
    return Counter(line["binding"] for line in lines if line.get("result") in ("Exchanged", "Renewed"))


def _log(node: Node, pod: str, namespace: str, container: str) -> str:
    try:
        return log(node, pod, namespace, container)
    except APIError:
        # It has not begun, or the kubelet is away for a moment.
        return ""
