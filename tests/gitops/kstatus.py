"""The rules of kstatus for kinds that it has no rule of its own for, written down from its documentation.

``sigs.k8s.io/cli-utils`` v0.37, ``pkg/kstatus/README.md`` and ``status/generic.go``, in their order: what is being
deleted is Terminating; another observedGeneration is InProgress; a true condition Reconciling is InProgress, a true
Stalled Failed; a condition Ready that is not true is InProgress; all else, no condition at all included, Current.
"""

from __future__ import annotations

from typing import Any


def status(live: dict[str, Any]) -> str:
    """Terminating, InProgress, Failed or Current."""
    if live["metadata"].get("deletionTimestamp"):
        return "Terminating"
    found = live.get("status", {})
    if "observedGeneration" in found and found["observedGeneration"] != live["metadata"]["generation"]:
        return "InProgress"
    conditions = {one["type"]: one["status"] for one in found.get("conditions", ())}
    if conditions.get("Reconciling") == "True":
        return "InProgress"
    if conditions.get("Stalled") == "True":
        return "Failed"
    return "Current" if conditions.get("Ready", "True") == "True" else "InProgress"
