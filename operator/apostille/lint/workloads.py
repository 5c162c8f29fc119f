"""Pods and workloads: what admission would say of their pods once the declarations that were read hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from apostille.core.inject import inject
from apostille.core.pod_plan import PodPlan, pod_plan
from apostille.core.settings import InjectionSettings
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.lint.objects import Object, template
from apostille.lint.rules import POD_REFUSED, POD_WARNED
from apostille.model.finding import Finding
from apostille.model.identity import ServiceAccount

_PATH = re.compile(r"(spec|metadata)[A-Za-z.\[\]0-9/~_-]*(?=:)")
# Where one reason ends and the next begins; a reason may hold a semicolon of its own.
_NEXT = re.compile(r"; (?=spec[.\[:]|WorkloadBinding )")


def findings(
    workloads: Iterable[Object], accepted: Iterable[tuple[FederationTrust, WorkloadBinding]], namespace: str
) -> Iterator[tuple[Finding, Object]]:
    """Findings with the workload that they are about. ``namespace`` is that of workloads which name none."""
    plans: dict[ServiceAccount, list[PodPlan]] = {}
    for trust, binding in accepted:
        plan = pod_plan(trust, binding)
        for account in binding.service_accounts:
            plans.setdefault(account, []).append(plan)
    for one in workloads:
        pod, path = template(one)
        spec = pod.get("spec")
        if one.live or not isinstance(spec, Mapping):
            continue
        account = ServiceAccount(one.namespace or namespace, str(spec.get("serviceAccountName") or "default"))
        if account in plans:
            for finding in _injected(pod, plans[account], path.removesuffix("spec")):
                yield finding, one


def _injected(pod: Mapping[str, object], plans: Sequence[PodPlan], prefix: str) -> Iterator[Finding]:
    try:
        result = inject({"metadata": {}, **pod}, plans, InjectionSettings())
    except (AttributeError, TypeError, KeyError, ValueError):
        return  # no pod that the API server would take; whoever lints Kubernetes' own kinds says what is wrong
    told = [(POD_REFUSED, text) for text in _NEXT.split(result.denial) if text] + [
        (POD_WARNED, text) for text in result.warnings
    ]
    for rule, text in told:
        match = _PATH.match(text)
        where, message = (match[0], text[match.end() + 1 :].strip()) if match else ("spec", text)
        yield rule.at(prefix + where, message)
