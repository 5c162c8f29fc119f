"""Pods and workloads: what policies and admission would say of their pods once the declarations that were read hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from apostille.core.grants import Grant, Protection
from apostille.core.guard import Guard
from apostille.core.inject import inject
from apostille.core.pod_plan import PodPlan, pod_plan
from apostille.core.settings import InjectionSettings
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.lint.objects import Object, template
from apostille.lint.rules import POD_REFUSED, POD_WARNED
from apostille.model.finding import Finding, Severity
from apostille.model.identity import ServiceAccount
from apostille.rules import checks

_PATH = re.compile(r"(spec|metadata)[A-Za-z.\[\]0-9/~_-]*(?=:)")


@dataclass(frozen=True, slots=True)
class Declared:
    """``accepted`` are bindings with their trusts, ``trusts`` all whose audience is a receiver's.

    ``namespace`` is that of workloads which name none.
    """

    trusts: Sequence[FederationTrust]
    accepted: Sequence[tuple[FederationTrust, WorkloadBinding]]
    own_namespace: str
    namespace: str


def findings(workloads: Iterable[Object], declared: Declared) -> Iterator[tuple[Finding, Object]]:
    """Findings with the workload that they are about."""
    plans: dict[ServiceAccount, list[PodPlan]] = {}
    guards = _guards(declared)
    for trust, binding in declared.accepted:
        plan = pod_plan(trust, binding)
        for account in binding.service_accounts:
            plans.setdefault(account, []).append(plan)
    for one in workloads:
        pod, path = template(one)
        spec = pod.get("spec")
        if one.live or not isinstance(spec, Mapping):
            continue
        if (name := spec.get("serviceAccount")) and not spec.get("serviceAccountName"):
            # As the API server reads it (v1 conversion of PodSpec: DeprecatedServiceAccount).
            spec = {**spec, "serviceAccountName": name}
            pod = {**pod, "spec": spec}
        namespace = one.namespace or declared.namespace
        account = ServiceAccount(namespace, str(spec.get("serviceAccountName") or "default"))
        if namespace:
            for finding in _guarded(guards, namespace, one, spec, path):
                yield finding, one
        if account in plans:
            for finding in _injected(pod, plans[account], path.removesuffix("spec")):
                yield finding, one


def _guards(declared: Declared) -> tuple[tuple[Guard, Severity | None], ...]:
    """What is enforced, and what is only recorded or warned of: there lint warns too."""
    grants = {
        (ServiceAccount(binding.namespace, name), trust.audience): trust.spec.ceilings.assertion_seconds
        for trust, binding in declared.accepted
        for name in binding.spec.subject.service_account_names
    }
    granted = [Grant(account, audience, seconds) for (account, audience), seconds in grants.items()]
    enforced = {trust.audience for trust in declared.trusts if trust.spec.enforcement.mode == "Enforce"}
    others = {trust.audience for trust in declared.trusts} - enforced

    def guard(audiences: set[str]) -> Guard:
        return Guard.of([Protection(one, "Enforce") for one in sorted(audiences)], granted, declared.own_namespace)

    return (guard(enforced), None), (guard(others), Severity.WARN)


def _guarded(
    guards: Sequence[tuple[Guard, Severity | None]], namespace: str, one: Object, spec: Mapping[str, Any], path: str
) -> Iterator[Finding]:
    try:
        for guard, mode in guards:
            for finding in checks.first_of_each(guard.early(namespace, spec, path)):
                yield replace(finding, mode=mode) if mode is not None else finding
        enforced, _ = guards[0]
        if one.kind == "Pod":
            yield from enforced.debugged(namespace, spec)
    except (AttributeError, TypeError, KeyError, ValueError):
        return  # no pod that the API server would take


def _injected(pod: Mapping[str, object], plans: Sequence[PodPlan], prefix: str) -> Iterator[Finding]:
    try:
        result = inject({"metadata": {}, **pod}, plans, InjectionSettings())
    except (AttributeError, TypeError, KeyError, ValueError):
        return  # no pod that the API server would take; whoever lints Kubernetes' own kinds says what is wrong
    told = [(POD_REFUSED, text) for text in result.denials] + [(POD_WARNED, text) for text in result.warnings]
    for rule, text in told:
        match = _PATH.match(text)
        where, message = (match[0], text[match.end() + 1 :].strip()) if match else ("spec", text)
        yield rule.at(prefix + where, message)
