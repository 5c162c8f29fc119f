"""Downward API: a pod's own fields as text. Pure."""

from __future__ import annotations

import re
from typing import Any

Object = dict[str, Any]
_SUBSCRIPT = re.compile(r"^(metadata\.(?:annotations|labels))\['(.+)'\]$")


def value(pod: Object, path: str, host_ip: str, pod_ip: str) -> str:
    """The text of `path` (Kubernetes: "Downward API", available fields); a missing annotation or label is empty.

    Raises ValueError for a path that is not served.
    """
    meta, spec = pod["metadata"], pod["spec"]
    if match := _SUBSCRIPT.match(path):
        return str(meta.get(match[1].split(".")[1], {}).get(match[2], ""))
    if path in ("metadata.annotations", "metadata.labels"):
        # The kubelet's format: key="value" with Go's %q, sorted, one a line.
        items = sorted(meta.get(path.split(".")[1], {}).items())
        return "\n".join(f"{key}={_quoted(text)}" for key, text in items)
    simple = {
        "metadata.name": meta["name"],
        "metadata.namespace": meta["namespace"],
        "metadata.uid": meta["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        "status.hostIP": host_ip,
        "status.hostIPs": host_ip,
        "status.podIP": pod_ip,
        "status.podIPs": pod_ip,
    }
    if path not in simple:
        raise ValueError(f"fieldPath {path!r} is not served by the pod runner")
    return str(simple[path])


def _quoted(text: str) -> str:
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}
    return '"' + "".join(escapes.get(character, character) for character in text) + '"'
