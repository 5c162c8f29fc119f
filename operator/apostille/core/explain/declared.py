"""A binding by itself: what the declarations say of it, or where its trust cannot be read its status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apostille.core.explain.answer import TRUSTS, Identity, Observed, State
from apostille.core.pod_plan import PodPlan, pod_plan
from apostille.core.resolve import ResolvedBinding, ResolvedTrust, World
from apostille.kinds.decode import Unreadable
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.conditions import Reason, find
from apostille.model.finding import refusals
from apostille.model.identity import ServiceAccount


@dataclass(frozen=True, slots=True)
class Judged:
    """A binding as the trust says, or where that cannot be read as its status says. ``state`` is None when live."""

    name: str
    state: State | None
    message: str
    change: str
    identity: Identity
    plan: PodPlan | None
    endpoint: str = ""


def names_account(one: Unreadable, account: ServiceAccount) -> bool:
    """Whether it means this service account, as far as can be told."""
    subject = (one.raw.get("spec") or {}).get("subject") or {}
    named = subject.get("serviceAccountNames") if isinstance(subject, Mapping) else None
    return isinstance(named, list) and account.name in named


def unreadable(one: Unreadable) -> Judged:
    """A binding that does not fit its schema."""
    where, _, what = one.error.partition(": ")
    message = f"the binding does not fit its schema: {one.error}"
    return Judged(one.name, State.REFUSED, message, f"{where} of WorkloadBinding {one.name}: {what}", Identity(), None)


def judge(resolved: ResolvedBinding, world: World, observed: Observed) -> Judged:
    """A binding by its trust; where the trust cannot be read, by its status."""
    binding, name = resolved.binding, resolved.binding.spec.trust_ref.name
    if resolved.trust is not None:
        return _by_trust(resolved, resolved.trust)
    invalid = next((one for one in observed.trusts if isinstance(one, Unreadable) and one.name == name), None)
    if invalid is not None:
        return Judged(
            binding.name, State.REFUSED, f"FederationTrust {name} does not fit its schema: {invalid.error}",
            f"show this to the owner of FederationTrust {name}: {invalid.error}", Identity(trust=name), None,
        )  # fmt: skip
    if TRUSTS in observed.unread:
        return _by_status(binding)
    return Judged(
        binding.name, State.TRUST_NOT_FOUND, f"there is no FederationTrust {name}",
        f"spec.trustRef.name of WorkloadBinding {binding.name}: {_trust_names(world)}", Identity(trust=name), None,
    )  # fmt: skip


def _trust_names(world: World) -> str:
    names_there = sorted(world.trusts)
    if not names_there:
        return "there are no FederationTrusts yet; ask the platform team for one"
    shown = ", ".join(names_there[:5]) + (" …" if len(names_there) > 5 else "")
    return f"the name of a trust that is there ({shown}), or ask the platform team for this one"


def _by_trust(resolved: ResolvedBinding, trust: ResolvedTrust) -> Judged:
    binding, declared = resolved.binding, trust.trust
    party = declared.party
    own = binding.view(party).target
    plan = None
    if resolved.accepted:
        plan = pod_plan(declared, binding)
    until = resolved.phase.next_change if resolved.phase is not None and resolved.phase.live else None
    identity = Identity(
        trust=declared.name,
        party=party.name,
        target=party.target_id(own) if own is not None else "",
        audience=declared.audience,
        delivery=plan.frozen.delivery if plan is not None else "",
        token_seconds=binding.spec.token.expiration_seconds,
        until=until,
        ending_stops_refresh=_ending(binding),
    )
    if refused := refusals(trust.findings):
        first = refused[0]
        return Judged(
            binding.name, State.REFUSED, f"FederationTrust {declared.name} is itself refused: {first}",
            f"{first.path} of FederationTrust {declared.name}: {first.remedy}", identity, None,
        )  # fmt: skip
    if refused := refusals(resolved.findings):
        first = refused[0]
        return Judged(
            binding.name, State.REFUSED, f"the binding is refused: {first}",
            f"{first.path} of WorkloadBinding {binding.name}: {first.remedy}", identity, None,
        )  # fmt: skip
    if (said := _said_no(declared.raw_status, declared.generation)) is not None:
        message = f"FederationTrust {declared.name} is refused: {said}"
        return Judged(
            binding.name, State.REFUSED, message, f"show this to the owner of FederationTrust {declared.name}",
            identity, None,
        )  # fmt: skip
    if resolved.phase is not None and not resolved.phase.live:
        state, change = _over(resolved.phase.reason, resolved.phase.message, binding)
        return Judged(binding.name, state, resolved.phase.message, change, identity, plan)
    endpoint = plan.frozen.admission.endpoint if plan is not None and plan.frozen.admission is not None else ""
    return Judged(binding.name, None, "", "", identity, plan, endpoint)


def _said_no(status: Mapping[str, Any], generation: int) -> str | None:
    """Why the controller refuses what passes here, for instance an address that its installation does not allow."""
    accepted = find(status.get("conditions") or [], "Accepted")
    if status.get("observedGeneration") == generation and accepted.get("status") == "False":
        return str(accepted.get("message", ""))
    return None


def _by_status(binding: WorkloadBinding) -> Judged:
    """What the controller last wrote on the binding, where the trust itself cannot be read."""
    status = binding.raw_status
    name = binding.spec.trust_ref.name
    current = status.get("observedGeneration") == binding.generation
    conditions = status.get("conditions") or []
    ready, accepted = find(conditions, "Ready"), find(conditions, "Accepted")
    identity = Identity(
        trust=name,
        target=str(status.get("target", "")),
        audience=str(status.get("audience", "")),
        token_seconds=binding.spec.token.expiration_seconds,
        until=_time(status.get("nextChange")) if status.get("phase") == "Live" else None,
        ending_stops_refresh=_ending(binding),
    )
    if not current or not conditions:
        return Judged(
            binding.name, State.NOT_JUDGED, "the controller has not looked at the binding as it is now",
            "wait some seconds; if it lasts, ask the platform team whether Apostille runs (apostille doctor)",
            identity, None,
        )  # fmt: skip
    if accepted.get("status") == "False":
        message = str(accepted.get("message", ""))
        if accepted.get("reason") == Reason.TRUST_NOT_FOUND:
            return Judged(
                binding.name, State.TRUST_NOT_FOUND, f"there is no FederationTrust {name}",
                f"spec.trustRef.name of WorkloadBinding {binding.name}: the name of a trust that is there, or ask the "
                "platform team for this one", identity, None,
            )  # fmt: skip
        if accepted.get("reason") == Reason.TRUST_NOT_ACCEPTED:
            return Judged(
                binding.name,
                State.REFUSED,
                message,
                f"show this to the owner of FederationTrust {name}",
                identity,
                None,
            )
        where, _, what = message.partition(": ")
        return Judged(
            binding.name, State.REFUSED, f"the binding is refused: {message}",
            f"{where} of WorkloadBinding {binding.name}: {what}", identity, None,
        )  # fmt: skip
    if status.get("phase") in ("NotYet", "Ended"):
        message = str(ready.get("message", ""))
        state, change = _over(str(ready.get("reason", "")), message, binding)
        return Judged(binding.name, state, message, change, identity, None)
    return Judged(binding.name, None, "", "", identity, None)


_OVER = {Reason.SUSPENDED: State.SUSPENDED, Reason.EXPIRED: State.EXPIRED, Reason.NOT_YET: State.NOT_YET}


def _over(reason: str, message: str, binding: WorkloadBinding) -> tuple[State, str]:
    """The state and the line to change; ``message`` names the field (core.phase)."""
    state = _OVER.get(Reason(reason), State.NOT_YET)
    trust = binding.spec.trust_ref.name
    of_trust = f"FederationTrust {trust}" in message
    if state is State.SUSPENDED:
        if of_trust:
            return state, f"spec.suspended of FederationTrust {trust}: false (the platform team's to change)"
        return state, _patch(binding, '{"spec":{"suspended":false}}')
    if state is State.EXPIRED:
        if of_trust:
            field_name = f"spec.governance.expiresAt of FederationTrust {trust}"
            return state, f"{field_name}: a later time, or none (the platform team's to change)"
        return state, f"spec.validity.notAfter of WorkloadBinding {binding.name}: a later time, or none"
    return state, f"spec.validity.notBefore of WorkloadBinding {binding.name}: wait, or an earlier time"


def _patch(binding: WorkloadBinding, patch: str) -> str:
    return f"kubectl patch wbind {binding.name} -n {binding.namespace} --type=merge -p '{patch}'"


def _ending(binding: WorkloadBinding) -> bool | None:
    enforced = find(binding.raw_status.get("conditions") or [], "Enforced")
    return None if not enforced else enforced.get("status") == "True"


def _time(text: Any) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None
