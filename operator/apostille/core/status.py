"""What is reported on the two kinds: conditions, counts, next change. Pure; the writer stamps the times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import msgspec

from apostille.core.access import DesiredAccess
from apostille.core.desired import InForce, grants_of
from apostille.core.grants import Protection
from apostille.core.judge import allowed_pairs
from apostille.core.resolve import ResolvedBinding, ResolvedTrust
from apostille.kinds.decode import Unreadable
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.status import (
    AccessStatus,
    BindingCounts,
    ConditionStatus,
    FederationTrustStatus,
    ForeignUsers,
    IssuerStatus,
    LimitStatus,
    PodCounts,
    RepairStatus,
    WorkloadBindingStatus,
)
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.conditions import Condition, Reason, stamped
from apostille.model.finding import Finding, refusals, warnings
from apostille.model.identity import Issuer
from apostille.model.names import ACCESS_PREFIX, DOCS, TRUST_KIND

_MOST_LIMITS = 32  # as the schema of the status takes
_MOST_NOTE = 1024  # characters (events.k8s.io/v1, note)


@dataclass(frozen=True, slots=True)
class TrustFacts:
    """What was found out about one trust. ``issuer_error`` is a sentence, empty when the issuer is known.

    ``access`` is None where it failed (``access_error``), the trust is refused, or something it needs is not known yet.
    """

    bindings: Sequence[ResolvedBinding]
    issuer: Issuer | None
    issuer_error: str
    access: DesiredAccess | None
    access_error: str
    foreign: Mapping[str, int]
    in_force: InForce
    shares_with: Sequence[str] = ()
    requests: Mapping[str, int] = field(default_factory=dict)


def trust_status(resolved: ResolvedTrust, facts: TrustFacts, now: datetime) -> FederationTrustStatus:
    """The status of a FederationTrust."""
    trust = resolved.trust
    conditions = [
        _accepted(resolved.findings),
        _issuer_ready(facts),
        _configured(resolved, facts),
        _trust_enforced(resolved, facts),
    ]
    conditions += [_trust_ready(resolved, facts, conditions), _observed(trust)]
    phases = [resolved.phase, *(binding.phase for binding in facts.bindings)]
    changes = [phase.next_change for phase in phases if phase is not None and phase.next_change is not None]
    rendered = facts.access is not None and trust.spec.configuration.mode == "Render"
    return FederationTrustStatus(
        observed_generation=trust.generation,
        conditions=_written(conditions, trust.raw_status, trust.generation, now),
        issuer=IssuerStatus(facts.issuer.url, list(facts.issuer.key_ids)) if facts.issuer else None,
        audience=trust.audience,
        access=AccessStatus(facts.access.digest, ACCESS_PREFIX + trust.name) if rendered and facts.access else None,
        limits=_limits(facts.access) if facts.access is not None else [],
        bindings=BindingCounts(total=len(facts.bindings), live=sum(b.live for b in facts.bindings)),
        foreign_users=[
            ForeignUsers(namespace, facts.foreign.get(namespace, 0), facts.requests.get(namespace, 0))
            for namespace in sorted({*facts.foreign, *facts.requests})[:256]
        ],
        next_change=min(changes, default=None),
    )


def _limits(access: DesiredAccess) -> list[LimitStatus]:
    fullest = sorted(access.limits, key=lambda limit: (-limit.used / limit.most, limit.name, limit.of))
    return [LimitStatus(one.name, one.of, one.used, one.most, one.over) for one in fullest[:_MOST_LIMITS]]


def _issuer_ready(facts: TrustFacts) -> Condition:
    if facts.issuer is None:
        return Condition("IssuerReady", "False", Reason.DISCOVERY_FAILED, facts.issuer_error or "not yet discovered")
    keys = len(facts.issuer.key_ids)
    return Condition(
        "IssuerReady", "True", Reason.DISCOVERED, f"{facts.issuer.url} publishes {keys} key{'s'[: keys != 1]}"
    )


def _configured(resolved: ResolvedTrust, facts: TrustFacts) -> Condition:
    if resolved.trust.spec.configuration.mode == "None":
        return Condition("Configured", "True", Reason.NOT_MANAGED, "the relying party is configured by somebody else")
    if facts.access_error:
        return Condition("Configured", "False", Reason.RENDER_FAILED, facts.access_error)
    if not resolved.accepted:
        return Condition(
            "Configured", "False", Reason.RENDER_FAILED, "nothing can be rendered for a trust that is refused"
        )
    if facts.access is None:
        unknown = "issuer is" if facts.issuer is None else "service accounts whose instances the trust pins are"
        return Condition(
            "Configured", "False", Reason.RENDER_PENDING, f"nothing can be rendered before the {unknown} known"
        )
    if facts.access.findings:
        return Condition("Configured", "False", Reason.RENDER_FAILED, _sentence(facts.access.findings))
    many = len(facts.access.files)
    name = ACCESS_PREFIX + resolved.trust.name
    count = "1 document is" if many == 1 else f"{many} documents are"
    message = f"{count} in ConfigMap {name}"
    if absent := facts.access.absent:
        more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
        shown = ", ".join("/".join(account) for account in absent[:5])
        message += f"; not let in, since they do not exist and the trust pins instances: {shown}{more}"
    return Condition("Configured", "True", Reason.RENDERED, message)


def _trust_enforced(resolved: ResolvedTrust, facts: TrustFacts) -> Condition:
    trust = resolved.trust
    mode = trust.spec.enforcement.mode
    if mode == "Audit":
        return Condition(
            "Enforced", "False", Reason.AUDIT,
            "undeclared users of the audience are recorded, not refused: ending a binding does not stop token refresh",
        )  # fmt: skip
    protection = _protection(trust, facts.in_force)
    if protection is None or (protection.mode != mode and protection.mode != "Enforce"):
        return Condition("Enforced", "False", Reason.ACTIVATING, "the policies are not in force in the API server yet")
    if mode == "Warn":
        return Condition("Enforced", "False", Reason.WARN, "undeclared users of the audience get a warning")
    if protection.spared:
        shown = ", ".join(
            f"{namespace} ({facts.foreign.get(namespace, 0) + facts.requests.get(namespace, 0)})"
            for namespace in protection.spared[:5]
        )
        if (more := len(protection.spared) - 5) > 0:
            shown += f" and {more} more"
        return Condition(
            "Enforced", "False", Reason.FOREIGN_USERS,
            f"not enforced in namespaces that use the audience without a binding: {shown}; bind or remove them, "
            "or set spec.enforcement.force",
        )  # fmt: skip
    return Condition("Enforced", "True", Reason.ENFORCE, "undeclared users of the audience are refused")


def _observed(trust: FederationTrust) -> Condition:
    if trust.spec.enforcement.observe_token_requests:
        return Condition(
            "Observed", "True", Reason.TOKEN_REQUESTS_OBSERVED,
            "token requests for the audience that no kubelet makes are counted in status.foreignUsers",
        )  # fmt: skip
    return Condition(
        "Observed", "False", Reason.TOKEN_REQUESTS_NOT_OBSERVED,
        "pods that use the audience are known, those who ask for tokens directly (External Secrets, Vault agents) are "
        "not: set spec.enforcement.observeTokenRequests for some days before enforcing",
    )  # fmt: skip


def _protection(trust: FederationTrust, in_force: InForce) -> Protection | None:
    return next((p for p in in_force.policies.protections if p.audience == trust.audience), None)


def _trust_ready(resolved: ResolvedTrust, facts: TrustFacts, conditions: Sequence[Condition]) -> Condition:
    accepted, issuer_ready, configured, enforced = conditions
    for condition in (accepted, issuer_ready, configured):
        if condition.status != "True":
            return Condition("Ready", "False", condition.reason, condition.message)
    if not resolved.phase.live:
        message = f"{resolved.phase.message}: no binding of this trust is in force"
        return Condition("Ready", "False", resolved.phase.reason, message)
    if enforced.reason in (Reason.ACTIVATING, Reason.FOREIGN_USERS):
        return Condition("Ready", "False", enforced.reason, enforced.message)
    if (waiting := _waiting(facts.in_force, allowed=allowed_pairs(resolved.trust))) is not None:
        return waiting
    if facts.shares_with:
        return Condition(
            "Ready", "True", Reason.CUT_OFF_SHARED,
            f"shares its audience with {', '.join(facts.shares_with)}: ending a binding here does not stop tokens "
            "there",
        )  # fmt: skip
    return Condition("Ready", "True", Reason.READY, _sentence(warnings(resolved.findings)) or "as declared")


def _waiting(in_force: InForce, *, allowed: Any = frozenset(), bound: Any = frozenset()) -> Condition | None:
    selected = in_force.selection
    if in_force.no_room and (allowed - selected.allowed - selected.bound or bound - selected.bound):
        return Condition("Ready", "False", Reason.SHARDS_EXHAUSTED, in_force.no_room)
    if allowed - selected.allowed - selected.bound or bound - selected.bound:
        if not in_force.reachable:
            return Condition(
                "Ready", "False", Reason.ADMISSION_UNREACHABLE,
                "the API server does not reach Apostille's admission endpoint; new pods are not selected until it does",
            )  # fmt: skip
        return Condition("Ready", "False", Reason.ACTIVATING, "the API server is being told which pods to ask about")
    return None


def binding_status(
    resolved: ResolvedBinding,
    pods: PodCounts,
    in_force: InForce,
    now: datetime,
    repair: RepairStatus | None = None,
) -> WorkloadBindingStatus:
    """The status of a WorkloadBinding."""
    binding = resolved.binding
    trust = resolved.trust.trust if resolved.trust is not None else None
    accepted = _binding_accepted(resolved)
    enforced = _binding_enforced(resolved, in_force)
    conditions = [accepted, *([enforced] if enforced else [])]
    conditions.append(_binding_ready(resolved, accepted, enforced, pods, in_force, repair))
    phase = resolved.phase if resolved.accepted else None
    target = ""
    if trust is not None and (own := binding.view(trust.party).target) is not None:
        target = trust.party.target_label(own)
    return WorkloadBindingStatus(
        observed_generation=binding.generation,
        conditions=_written(conditions, binding.raw_status, binding.generation, now),
        phase=phase.name if phase is not None else "",
        next_change=phase.next_change if phase is not None else None,
        subjects=[account.subject for account in binding.service_accounts],
        audience=trust.audience if trust is not None else "",
        target=target,
        pods=pods,
        repair=repair,
    )


def to_repair(resolved: ResolvedBinding, pods: PodCounts, in_force: InForce) -> bool:
    """Whether pods are to be made anew: the binding asks for it, and the next pod is certain to be injected."""
    if resolved.binding.spec.repair != "Recreate" or not (pods.missing or pods.stale) or not in_force.reachable:
        return False
    accepted, enforced = _binding_accepted(resolved), _binding_enforced(resolved, in_force)
    return _binding_ready(resolved, accepted, enforced, pods, in_force, None).reason is Reason.PODS_MISSING


def _binding_accepted(resolved: ResolvedBinding) -> Condition:
    name = resolved.binding.spec.trust_ref.name
    if resolved.trust_error:
        return Condition(
            "Accepted", "False", Reason.TRUST_NOT_ACCEPTED,
            f"FederationTrust {name} cannot be read by this version of Apostille: {resolved.trust_error}; ask its "
            "owner to apply it again with that field corrected",
        )  # fmt: skip
    if resolved.trust is None:
        return Condition(
            "Accepted", "False", Reason.TRUST_NOT_FOUND,
            f"spec.trustRef.name: there is no FederationTrust {name}; ask the platform team, or correct the name",
        )  # fmt: skip
    if not resolved.trust.accepted:
        return Condition(
            "Accepted", "False", Reason.TRUST_NOT_ACCEPTED,
            f"FederationTrust {name} is itself refused: {_sentence(refusals(resolved.trust.findings))}",
        )  # fmt: skip
    return _accepted(resolved.findings)


def _binding_enforced(resolved: ResolvedBinding, in_force: InForce) -> Condition | None:
    """Whether tokens of this binding are granted by policies in force, and only by them."""
    if not resolved.live or resolved.trust is None:
        return None
    trust = resolved.trust.trust
    if (mode := trust.spec.enforcement.mode) != "Enforce":
        reason = Reason.AUDIT if mode == "Audit" else Reason.WARN
        return Condition(
            "Enforced", "False", reason,
            f"the trust's enforcement mode is {mode}: ending this binding does not stop the refresh of tokens",
        )  # fmt: skip
    protection = _protection(trust, in_force)
    if in_force.no_room and not granted(resolved, in_force):
        return Condition("Enforced", "False", Reason.SHARDS_EXHAUSTED, in_force.no_room)
    if protection is None or protection.mode != "Enforce" or not granted(resolved, in_force):
        return Condition("Enforced", "False", Reason.ACTIVATING, "the grant is not in force in the API server yet")
    if (namespace := resolved.binding.namespace) in protection.spared:
        return Condition(
            "Enforced", "False", Reason.FOREIGN_USERS,
            f"other pods of namespace {namespace} use the audience without a binding, so nothing is refused there: "
            "ending this binding does not stop the refresh of tokens; bind or remove them, or set "
            f"spec.enforcement.force of FederationTrust {trust.name}",
        )  # fmt: skip
    return Condition("Enforced", "True", Reason.ENFORCE, "tokens are granted by policy, and to declared bindings only")


def granted(resolved: ResolvedBinding, in_force: InForce) -> bool:
    """Whether the policies in force let this binding's pods have their tokens."""
    have = {(grant.account, grant.audience): grant.seconds for grant in in_force.policies.grants}
    return all(have.get((g.account, g.audience), 0) >= g.seconds for g in grants_of(resolved))


def _binding_ready(
    resolved: ResolvedBinding,
    accepted: Condition,
    enforced: Condition | None,
    pods: PodCounts,
    in_force: InForce,
    repair: RepairStatus | None,
) -> Condition:
    if accepted.status != "True":
        return Condition("Ready", "False", accepted.reason, accepted.message)
    if resolved.phase is None or not resolved.phase.live:
        reason = resolved.phase.reason if resolved.phase is not None else Reason.NOT_YET
        return Condition("Ready", "False", reason, resolved.phase.message if resolved.phase is not None else "")
    if enforced is not None and enforced.reason in (
        Reason.ACTIVATING,
        Reason.FOREIGN_USERS,
        Reason.SHARDS_EXHAUSTED,
    ):
        return Condition("Ready", "False", enforced.reason, enforced.message)
    if (waiting := _waiting(in_force, bound=frozenset(resolved.binding.service_accounts))) is not None:
        return waiting
    if pods.missing or pods.stale:
        return Condition("Ready", "True", Reason.PODS_MISSING, _restart_advice(resolved.binding, pods, repair))
    if resolved.shared_with and enforced is not None and enforced.reason is Reason.ENFORCE:
        return Condition(
            "Ready", "True", Reason.CUT_OFF_SHARED,
            "ending this binding alone does not stop the refresh of its tokens: a service account gets tokens for the "
            f"same audience also by {', '.join(resolved.shared_with)}",
        )  # fmt: skip
    return Condition("Ready", "True", Reason.READY, _sentence(warnings(resolved.findings)) or "as declared")


def _restart_advice(binding: WorkloadBinding, pods: PodCounts, repair: RepairStatus | None) -> str:
    if repair is not None:
        going = f"{repair.waiting} of them are made anew one by one" if repair.waiting else "none of them is made anew"
        said = f"; {repair.message}" if repair.message else ""
        return f"{pods.missing} of {pods.matched} pods have no identity and {pods.stale} an older one; {going}{said}"
    return (
        f"{pods.missing} of {pods.matched} pods have no identity and {pods.stale} an older one; restart them: "
        f"kubectl rollout restart -n {binding.namespace} deployment/NAME"
    )


def _accepted(findings: Sequence[Finding]) -> Condition:
    if refused := refusals(findings):
        return Condition("Accepted", "False", Reason.RULE_VIOLATED, _sentence(refused))
    return Condition("Accepted", "True", Reason.ACCEPTED, "valid and allowed")


# The rest goes on by itself, or is as somebody wanted it.
_RECONCILING = (
    Reason.ACTIVATING,
    Reason.ADMISSION_UNREACHABLE,
    Reason.TRUST_NOT_FOUND,
    Reason.DISCOVERY_FAILED,
    Reason.RENDER_PENDING,
)
# Nothing changes before somebody changes the declaration.
_STALLED = (
    Reason.INVALID,
    Reason.RULE_VIOLATED,
    Reason.TRUST_NOT_ACCEPTED,
    Reason.RENDER_FAILED,
    Reason.SHARDS_EXHAUSTED,
)


def _written(
    conditions: Sequence[Condition], previous: Mapping[str, Any], generation: int, now: datetime
) -> list[ConditionStatus]:
    by_type = {condition.type: condition for condition in conditions}
    ready = by_type["Ready"]
    every = [
        *conditions,
        # kstatus reads these two before Ready.
        _abnormal("Reconciling", Reason.RECONCILING, ready, ready.reason in _RECONCILING),
        _abnormal("Stalled", Reason.STALLED, ready, ready.reason in _STALLED),
    ]
    return msgspec.convert(stamped(every, previous.get("conditions") or [], generation, now), list[ConditionStatus])


def _abnormal(kind: str, reason: Reason, ready: Condition, holds: bool) -> Condition:
    return Condition(kind, "True", reason, ready.message) if holds else Condition(kind, "False", Reason.STABLE, "")


def event(ready: Mapping[str, Any]) -> tuple[Literal["Normal", "Warning"], str]:
    """Type and note of the Event that tells of a written condition Ready; a warning links to its reason's page."""
    if ready["status"] == "True" or ready["reason"] == Reason.ACTIVATING:
        return "Normal", ready["message"]
    link = f" [{DOCS}/reasons/{ready['reason']}]"
    return "Warning", ready["message"][: _MOST_NOTE - len(link)] + link


def invalid_status(about: Unreadable, now: datetime) -> FederationTrustStatus | WorkloadBindingStatus:
    """The status of an object that does not fit its schema, for instance one that an older version stored."""
    generation = about.raw["metadata"].get("generation", 0)
    conditions = [Condition(kind, "False", Reason.INVALID, about.error) for kind in ("Accepted", "Ready")]
    kind = FederationTrustStatus if about.kind == TRUST_KIND else WorkloadBindingStatus
    return kind(observed_generation=generation, conditions=_written(conditions, about.raw_status, generation, now))


def _sentence(findings: Sequence[Finding]) -> str:
    shown = "; ".join(str(finding) for finding in findings[:5])
    return shown + (f"; and {len(findings) - 5} more" if len(findings) > 5 else "")
