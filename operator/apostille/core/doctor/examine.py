"""The checks, in an order in which the first failure explains those after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from apostille.core.doctor.admission import (
    admission_check,
    certificates_check,
    policies_check,
    restraints_check,
    selection_check,
)
from apostille.core.doctor.check import Check, Level, Observed
from apostille.core.doctor.declared import declared_check
from apostille.core.doctor.issuer import issuer_check
from apostille.core.doctor.processes import (
    clock_check,
    controller_check,
    installation_check,
    kinds_check,
    replicas_check,
    server_check,
)
from apostille.core.judge import Context
from apostille.core.resolve import resolve
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.identity import Issuer


def examine(observed: Observed, now: datetime) -> list[Check]:
    """All checks at ``now`` (timezone-aware), in an order in which the first failure explains those after it."""
    world = resolve(
        [one for one in observed.trusts if isinstance(one, FederationTrust)],
        [one for one in observed.bindings if isinstance(one, WorkloadBinding)],
        Context(Issuer(str(observed.issuer["issuer"])) if observed.issuer else None, observed.own_namespace),
        now,
    )
    checks: list[tuple[str, Sequence[str], Callable[[], Check | list[Check]]]] = [
        ("api server", ["version"], lambda: server_check(observed)),
        ("kinds", [], lambda: kinds_check(observed)),
        ("installation", ["anchor"], lambda: installation_check(observed)),
        ("replicas", ["deployments"], lambda: replicas_check(observed)),
        ("controller", ["lease"], lambda: controller_check(observed)),
        ("clock", ["heard"], lambda: clock_check(observed)),
        ("issuer", ["issuer"], lambda: issuer_check(observed)),
        ("admission", ["heard", "configurations"], lambda: admission_check(observed)),
        ("certificates", ["configurations"], lambda: certificates_check(observed, now)),
        ("selection", ["configurations", "trusts", "bindings", "heard"], lambda: selection_check(observed, world)),
        ("policies", ["policies", "heard"], lambda: policies_check(observed, world)),
        ("restraints", ["policies", "configurations"], lambda: restraints_check(observed)),
        ("trusts", ["trusts"], lambda: declared_check("trusts", observed.trusts)),
        ("bindings", ["bindings"], lambda: declared_check("bindings", observed.bindings)),
    ]
    found: list[Check] = []
    for name, needs, check in checks:
        missing = [f"{need}: {observed.unread[need]}" for need in needs if need in observed.unread]
        if missing:
            found.append(
                Check(name, Level.UNKNOWN, f"not examined ({'; '.join(missing)})", "ask somebody with these rights")
            )
            continue
        made = check()
        found += made if isinstance(made, list) else [made]
    return found
