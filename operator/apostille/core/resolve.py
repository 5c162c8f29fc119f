"""Which bindings are in force: rules and time together, over everything that is declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from apostille.core.judge import Context, judge_binding, judge_trust
from apostille.core.phase import Phase, phase
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.finding import Finding, refusals


@dataclass(frozen=True, slots=True)
class ResolvedTrust:
    """A trust with its findings."""

    trust: FederationTrust
    findings: tuple[Finding, ...]

    @property
    def accepted(self) -> bool:
        """Whether no rule refuses it."""
        return not refusals(self.findings)


@dataclass(frozen=True, slots=True)
class ResolvedBinding:
    """A binding with its trust, findings and phase. ``phase`` is None while there is no accepted trust to judge by."""

    binding: WorkloadBinding
    trust: ResolvedTrust | None
    findings: tuple[Finding, ...]
    phase: Phase | None

    @property
    def accepted(self) -> bool:
        """Whether binding and trust are refused by no rule."""
        return self.trust is not None and self.trust.accepted and not refusals(self.findings)

    @property
    def live(self) -> bool:
        """Whether it grants anything now."""
        return self.accepted and self.phase is not None and self.phase.live


@dataclass(frozen=True, slots=True)
class World:
    """Everything that is declared, judged at one moment."""

    trusts: Mapping[str, ResolvedTrust]
    bindings: Sequence[ResolvedBinding]

    def of_trust(self, name: str) -> list[ResolvedBinding]:
        """Bindings that name this trust."""
        return [binding for binding in self.bindings if binding.binding.spec.trust_ref.name == name]

    @property
    def live(self) -> list[ResolvedBinding]:
        """Bindings in force."""
        return [binding for binding in self.bindings if binding.live]

    @property
    def next_change(self) -> datetime | None:
        """When time alone changes anything."""
        times = [b.phase.next_change for b in self.bindings if b.phase is not None and b.phase.next_change is not None]
        return min(times, default=None)


def resolve(
    trusts: Iterable[FederationTrust], bindings: Iterable[WorkloadBinding], context: Context, now: datetime
) -> World:
    """Judges all trusts and bindings; deterministic in the order of names."""
    every = sorted(trusts, key=lambda trust: trust.name)
    resolved = {trust.name: ResolvedTrust(trust, tuple(judge_trust(trust, every, context))) for trust in every}
    return World(
        resolved,
        [
            resolve_binding(binding, resolved.get(binding.spec.trust_ref.name), context, now)
            for binding in sorted(bindings, key=lambda binding: (binding.namespace, binding.name))
        ],
    )


def resolve_binding(
    binding: WorkloadBinding, trust: ResolvedTrust | None, context: Context, now: datetime
) -> ResolvedBinding:
    """Judges one binding against its trust."""
    findings = judge_binding(binding, trust.trust if trust else None, context)
    return ResolvedBinding(binding, trust, tuple(findings), phase(trust.trust, binding, now) if trust else None)
