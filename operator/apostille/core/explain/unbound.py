"""Pods that no binding names, and bindings that a pod carries but nobody declares."""

from __future__ import annotations

from collections.abc import Sequence

from apostille.core.explain.answer import TRUSTS, Answer, Identity, Observed, State
from apostille.core.explain.declared import Judged
from apostille.core.explain.delivered import added
from apostille.core.explain.pods import not_injectable, restart
from apostille.core.judge import allowed_pairs
from apostille.core.resolve import World
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model import names
from apostille.model.identity import ServiceAccount


def unbound(account: ServiceAccount, world: World, observed: Observed, bindings: Sequence[WorkloadBinding]) -> Answer:
    """The pod as such: what would give it an identity."""
    if account.namespace in (*names.SYSTEM_NAMESPACES, observed.own_namespace):
        return Answer(
            "", State.NOT_INJECTABLE, f"{account.namespace} belongs to the system: nothing is ever bound there",
            "run the workload in a namespace of its own",
        )  # fmt: skip
    if (why := not_injectable(observed.pod)) is not None:
        return Answer("", State.NOT_INJECTABLE, why)
    trusts = [one for one in world.trusts.values() if one.accepted and account in allowed_pairs(one.trust)]
    if trusts:
        first = trusts[0].trust
        targets = [t for allow in first.spec.allow if account.namespace == allow.namespace
                   and account.name in allow.service_accounts for t in allow.targets]  # fmt: skip
        return Answer(
            "", State.ALLOWED,
            f"FederationTrust {first.name} allows service account {account.name} to take on {', '.join(targets[:3])}, "
            "but no WorkloadBinding says that it does",
            f"kubectl apply: a WorkloadBinding in {account.namespace} with spec.trustRef.name: {first.name}, "
            f"spec.subject.serviceAccountNames: [{account.name}]; then {restart(observed)}",
        )  # fmt: skip
    others = [(binding.name, binding.spec.subject.service_account_names) for binding in bindings]
    if others:
        name, accounts = others[0]
        shown = "; ".join(f"{one} binds {', '.join(of)}" for one, of in others[:5])
        return Answer(
            "", State.WRONG_ACCOUNT,
            f"the pod runs as service account {account.name}, which no binding names ({shown})",
            f"{_account_field(observed)}: {accounts[0]}, if the pod is to have {name}",
        )  # fmt: skip
    if account.name == "default":
        change = f"{_account_field(observed)}: a service account of its own; `default` can never be bound"
    else:
        change = f"kubectl apply: a WorkloadBinding in {account.namespace} that names {account.name}"
        change += (
            "; ask the platform team for the trust"
            if TRUSTS in observed.unread
            else f", and {account.name} in spec.allow of its FederationTrust"
        )
    return Answer(
        "", State.NOT_BOUND,
        f"no WorkloadBinding of namespace {account.namespace} names service account {account.name}", change,
    )  # fmt: skip


def _account_field(observed: Observed) -> str:
    if observed.workload:
        return f"spec.template.spec.serviceAccountName of {observed.workload}"
    return "spec.serviceAccountName of the pod"


def undeclared(name: str, observed: Observed) -> Answer:
    """A binding that the pod was once given."""
    return Answer(
        name, State.UNDECLARED,
        "the pod carries this binding, but it is not declared any more or does not name this service account: where "
        "its audience is enforced the token is not renewed",
        f"{restart(observed)} to remove what is left, or declare WorkloadBinding {name} again",
        added=added(observed.pod, Judged(name, None, "", "", Identity(), None)),
    )  # fmt: skip
