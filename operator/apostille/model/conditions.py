"""metav1 conditions and the reasons they may carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

Status = Literal["True", "False", "Unknown"]


class Reason(StrEnum):
    """Every reason a condition can have. Users script against them: add, never rename."""

    # Accepted
    ACCEPTED = "Accepted"
    RULE_VIOLATED = "RuleViolated"
    INVALID = "Invalid"
    TRUST_NOT_FOUND = "TrustNotFound"
    TRUST_NOT_ACCEPTED = "TrustNotAccepted"
    # IssuerReady
    DISCOVERED = "Discovered"
    DISCOVERY_FAILED = "DiscoveryFailed"
    # Configured
    RENDERED = "Rendered"
    NOT_MANAGED = "NotManaged"
    RENDER_FAILED = "RenderFailed"
    # Enforced
    AUDIT = "Audit"
    WARN = "Warn"
    ENFORCE = "Enforce"
    ACTIVATING = "Activating"
    FOREIGN_USERS = "ForeignUsers"
    # Ready
    READY = "Ready"
    CUT_OFF_SHARED = "CutOffShared"
    NOT_YET = "NotYet"
    SUSPENDED = "Suspended"
    EXPIRED = "Expired"
    ADMISSION_UNREACHABLE = "AdmissionUnreachable"
    PODS_MISSING = "PodsMissing"
    # Reconciling, Stalled
    RECONCILING = "Reconciling"
    STABLE = "Stable"
    STALLED = "Stalled"


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition without its times, which belong to whoever writes it."""

    type: str
    status: Status
    reason: Reason
    message: str


def stamped(
    conditions: Sequence[Condition], previous: Sequence[Mapping[str, Any]], generation: int, now: datetime
) -> list[dict[str, Any]]:
    """Conditions as they are written; ``lastTransitionTime`` moves only where the status changes (API conventions)."""
    before = {condition.get("type"): condition for condition in previous}
    written = []
    for condition in conditions:
        old = before.get(condition.type, {})
        same = old.get("status") == condition.status and old.get("lastTransitionTime")
        written.append(
            {
                "type": condition.type,
                "status": condition.status,
                "reason": str(condition.reason),
                "message": condition.message[:32768],
                "observedGeneration": generation,
                "lastTransitionTime": old["lastTransitionTime"] if same else now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        )
    return written


def find(conditions: Sequence[Mapping[str, Any]], kind: str) -> Mapping[str, Any]:
    """A condition by type in a written status; empty where it is missing."""
    return next((condition for condition in conditions if condition.get("type") == kind), {})
