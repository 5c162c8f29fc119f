"""When a binding is in force. The only place that sees the time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import Validity, WorkloadBinding
from apostille.model.conditions import Reason

Name = Literal["NotYet", "Live", "Ended"]


@dataclass(frozen=True, slots=True)
class Phase:
    """``next_change`` is when time alone changes the phase; None when it never does."""

    name: Name
    reason: Reason
    message: str
    next_change: datetime | None = None

    @property
    def live(self) -> bool:
        """Whether the binding is in force."""
        return self.name == "Live"


def trust_phase(trust: FederationTrust, now: datetime) -> Phase:
    """Whether any binding of the trust can be in force at ``now`` (timezone-aware): its suspension and expiry alone."""
    if trust.spec.suspended:
        return Phase("Ended", Reason.SUSPENDED, "spec.suspended is set")
    end = trust.spec.governance.expires_at
    if end is not None and now >= end:
        return _ended(end, "spec.governance.expiresAt")
    return Phase("Live", Reason.READY, "in force", end)


def within(validity: Validity, now: datetime) -> bool:
    """Whether ``now`` (timezone-aware) is in a binding's own time."""
    begun = validity.not_before is None or now >= validity.not_before
    return begun and (validity.not_after is None or now < validity.not_after)


def phase(trust: FederationTrust, binding: WorkloadBinding, now: datetime) -> Phase:
    """Judges suspension, validity and expiry of both objects at ``now`` (timezone-aware)."""
    if trust.spec.suspended:
        return Phase("Ended", Reason.SUSPENDED, f"FederationTrust {trust.name} is suspended (spec.suspended)")
    if binding.spec.suspended:
        return Phase("Ended", Reason.SUSPENDED, "the binding is suspended (spec.suspended)")
    ends = [
        (time, text)
        for time, text in (
            (binding.spec.validity.not_after, "spec.validity.notAfter"),
            (trust.spec.governance.expires_at, f"spec.governance.expiresAt of FederationTrust {trust.name}"),
        )
        if time is not None
    ]
    end, field = min(ends, default=(None, ""))
    if end is not None and now >= end:
        return _ended(end, field)
    begin = binding.spec.validity.not_before
    if begin is not None and now < begin:
        # A trust may end before its binding begins.
        change = begin if end is None else min(begin, end)
        return Phase("NotYet", Reason.NOT_YET, f"begins at {begin.isoformat()} (spec.validity.notBefore)", change)
    return Phase("Live", Reason.READY, "in force", end)


def _ended(end: datetime, field: str) -> Phase:
    return Phase("Ended", Reason.EXPIRED, f"ended at {end.isoformat()} ({field})")
