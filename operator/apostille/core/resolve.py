"""Which bindings are in force: rules and time together, over everything that is declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from apostille.core.judge import Context, judge_binding, judge_trust
from apostille.core.phase import Phase, phase, trust_phase
from apostille.kinds.decode import Unreadable
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.finding import Finding, refusals
from apostille.model.identity import ServiceAccount
from apostille.model.names import TRUST_KIND
from apostille.rules import catalogue

_NO_RECEIVER = (catalogue.AUD_EMPTY, catalogue.AUD_APISERVER, catalogue.AUD_WILDCARD)


@dataclass(frozen=True, slots=True)
class ResolvedTrust:
    """A trust with its findings and phase."""

    trust: FederationTrust
    findings: tuple[Finding, ...]
    phase: Phase

    @property
    def accepted(self) -> bool:
        """Whether no rule refuses it."""
        return not refusals(self.findings)

    @property
    def audience_is_no_receivers(self) -> bool:
        """Whether its audience is empty, a pattern, or the API server's own: nothing that could be protected."""
        return any(finding.rule in _NO_RECEIVER for finding in self.findings)


@dataclass(frozen=True, slots=True)
class ResolvedBinding:
    """A binding with its trust, findings and phase. ``phase`` is None while there is no trust to judge by.

    ``trust_error`` says why not, where there is one that cannot be read; it names the field.
    ``shared_with`` are other live bindings of the namespace that need tokens of the same service account for the same
    audience: a grant is per pair of these, so tokens go on while one of them lives.
    """

    binding: WorkloadBinding
    trust: ResolvedTrust | None
    findings: tuple[Finding, ...]
    phase: Phase | None
    shared_with: tuple[str, ...] = ()
    trust_error: str = ""

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
        phases = [*(trust.phase for trust in self.trusts.values()), *(binding.phase for binding in self.bindings)]
        times = [phase.next_change for phase in phases if phase is not None and phase.next_change is not None]
        return min(times, default=None)


def resolve(
    trusts: Iterable[FederationTrust],
    bindings: Iterable[WorkloadBinding],
    context: Context,
    now: datetime,
    unreadable: Iterable[Unreadable] = (),
) -> World:
    """Judges all trusts and bindings; deterministic in the order of names. ``unreadable`` are of either kind."""
    errors = {one.name: one.error for one in unreadable if one.kind == TRUST_KIND}
    every = sorted(trusts, key=lambda trust: trust.name)
    resolved = {
        trust.name: ResolvedTrust(trust, tuple(judge_trust(trust, every, context)), trust_phase(trust, now))
        for trust in every
    }
    judged = [
        resolve_binding(binding, resolved.get(name := binding.spec.trust_ref.name), context, now, errors.get(name, ""))
        for binding in sorted(bindings, key=lambda binding: (binding.namespace, binding.name))
    ]
    return World(resolved, _with_sharers(judged))


def resolve_binding(
    binding: WorkloadBinding, trust: ResolvedTrust | None, context: Context, now: datetime, trust_error: str = ""
) -> ResolvedBinding:
    """Judges one binding against its trust."""
    findings = tuple(judge_binding(binding, trust.trust if trust else None, context))
    its_phase = phase(trust.trust, binding, now) if trust else None
    return ResolvedBinding(binding, trust, findings, its_phase, trust_error=trust_error)


def _with_sharers(bindings: Sequence[ResolvedBinding]) -> list[ResolvedBinding]:
    users: dict[tuple[ServiceAccount, str], list[str]] = {}
    for one in bindings:
        for need in _needs(one):
            users.setdefault(need, []).append(one.binding.name)
    shared = [{name for need in _needs(one) for name in users[need]} - {one.binding.name} for one in bindings]
    return [replace(one, shared_with=tuple(sorted(names))) for one, names in zip(bindings, shared, strict=True)]


def _needs(resolved: ResolvedBinding) -> list[tuple[ServiceAccount, str]]:
    if not resolved.live or resolved.trust is None:
        return []
    return [(account, resolved.trust.trust.audience) for account in resolved.binding.service_accounts]
