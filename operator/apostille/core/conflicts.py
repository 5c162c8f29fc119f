"""Bindings of one namespace that want the same variable of the same container: seen before a pod is refused for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from apostille.core.pod_plan import PodPlan, pod_plan
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.finding import Finding
from apostille.rules import catalogue

Declared = tuple[WorkloadBinding, FederationTrust]
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def conflicts(mine: Declared, others: Iterable[Declared]) -> Iterator[Finding]:
    """X-BINDING-CONFLICT of an accepted binding with others of its namespace that can be in force at the same time."""
    binding, trust = mine
    plan = _plan(binding, trust)
    for other, its_trust in others:
        if plan is None or other.name == binding.name or not _overlap(binding, other):
            continue
        theirs = _plan(other, its_trust)
        if theirs is None or not (disputed := _disputed(plan, theirs)):
            continue
        for i, name in enumerate(binding.spec.subject.service_account_names):
            if name in other.spec.subject.service_account_names:
                yield catalogue.BINDING_CONFLICT.at(
                    f"spec.subject.serviceAccountNames[{i}]",
                    f"WorkloadBinding {other.name} gives {name} {', '.join(disputed)} too, with another value",
                )


def _plan(binding: WorkloadBinding, trust: FederationTrust) -> PodPlan | None:
    try:
        return pod_plan(trust, binding)
    except ValueError:
        return None  # refused for that, and judged elsewhere


def _disputed(one: PodPlan, other: PodPlan) -> list[str]:
    mine, its = one.frozen.section, other.frozen.section
    # A file that all containers of a pod share, whichever of them are meant.
    same = mine is not None and its is not None and (mine.file, mine.name) == (its.file, its.name)
    profiles = [f"profile {mine.name}"] if mine is not None and same else []
    include, theirs = set(one.frozen.include), set(other.frozen.include)
    if include and theirs and not include & theirs:
        return profiles
    known = other.frozen.environment
    return profiles + sorted(key for key, value in one.frozen.environment.items() if known.get(key, value) != value)


def _overlap(one: WorkloadBinding, other: WorkloadBinding) -> bool:
    if one.spec.suspended or other.spec.suspended:
        return False
    begins = max(binding.spec.validity.not_before or _FIRST for binding in (one, other))
    return begins < min(binding.spec.validity.not_after or _LAST for binding in (one, other))
