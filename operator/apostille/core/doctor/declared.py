"""The two kinds: which objects are not Ready, and why."""

from __future__ import annotations

from collections.abc import Sequence

from apostille.core.doctor.check import SHOWN, Check, Level
from apostille.kinds.decode import Unreadable
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.conditions import EXPLAINED, Reason, find

_KUBECTL = {"trusts": "ftrust", "bindings": "wbind --all-namespaces"}


def declared_check(name: str, objects: Sequence[FederationTrust | WorkloadBinding | Unreadable]) -> list[Check]:
    """One line on all of them, and one on each that is not Ready, the first few."""
    bad: list[Check] = []
    for one in objects:
        who = f"{one.namespace}/{one.name}" if isinstance(one, WorkloadBinding) else one.name
        if isinstance(one, Unreadable):
            where = f"{one.namespace}/{one.name}" if one.namespace else one.name
            bad.append(Check(name, Level.FAIL, f"{where}: Invalid: {one.error}", EXPLAINED[Reason.INVALID].remedy))
            continue
        ready = find(one.raw_status.get("conditions") or [], "Ready")
        if ready.get("status") == "True":
            continue
        if not ready:
            bad.append(Check(name, Level.WARN, f"{who}: nobody has looked at it yet", "see the line on the controller"))
            continue
        reason = str(ready.get("reason"))
        known = next((EXPLAINED[each] for each in Reason if each == reason), None)
        # Time and people's own decision are no faults of the installation.
        level = Level.WARN if reason in ("NotYet", "Suspended", "Expired", "Activating") else Level.FAIL
        message = str(ready.get("message", "")).partition("\n")[0]
        bad.append(Check(name, level, f"{who}: {reason}: {message}", known.remedy if known else "see its status"))
    ready_count = len(objects) - len(bad)
    level = Level.OK if not bad else min((check.level for check in bad), key=[Level.FAIL, Level.WARN].index)
    summary = Check(name, Level.OK if not bad else level, f"{ready_count} of {len(objects)} are Ready",
                    "" if not bad else "see the lines below")  # fmt: skip
    bad.sort(key=lambda check: [Level.FAIL, Level.WARN].index(check.level))
    if len(bad) > SHOWN:
        more = Check(name, bad[SHOWN].level, f"and {len(bad) - SHOWN} more", f"kubectl get {_KUBECTL[name]}")
        bad = [*bad[:SHOWN], more]
    return [summary, *bad]
