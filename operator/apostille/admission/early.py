"""Pods and workloads that use a protected audience or are bound: told early what policies or injection will say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apostille.admission.declared import Declared
from apostille.admission.review import answer, as_warning
from apostille.core.guard import template
from apostille.core.inject import inject
from apostille.core.pod_plan import pod_plan
from apostille.core.settings import InjectionSettings
from apostille.model.identity import ServiceAccount
from apostille.rules.checks import first_of_each


class Early:
    """Answers ``/validate/pods``. Refuses nothing: what must be refused is refused in the API server itself."""

    def __init__(self, declared: Declared, settings: InjectionSettings) -> None:
        self._declared, self._settings = declared, settings

    async def __call__(self, request: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        """The AdmissionReview to send back. Raises ApiError where the bindings are not known."""
        raw, namespace = request.get("object") or {}, str(request.get("namespace", ""))
        if request.get("subResource") == "ephemeralcontainers":
            findings = list(self._declared.guard(()).debugged(namespace, raw.get("spec") or {}))
            return answer(request, warnings=[as_warning(finding) for finding in findings])
        kind = str((request.get("kind") or {}).get("kind"))
        pod, path = template(kind, raw)
        spec = pod.get("spec") or {}
        account = ServiceAccount(namespace, spec.get("serviceAccountName") or "default")
        bound = await self._declared.bound_to(account)
        findings = first_of_each(self._declared.guard(bound).early(namespace, spec, path, of_template=kind != "Pod"))
        warnings = [as_warning(finding) for finding in findings]
        if kind != "Pod":
            plans = [pod_plan(one.trust.trust, one.binding) for one in bound if one.trust is not None]
            result = inject(pod, plans, self._settings)
            if result.denial:
                warnings.append(f"{path}: pods of this template will be refused: {result.denial}")
            warnings += [f"in pods of this template, {warning}" for warning in result.warnings]
        return answer(request, warnings=warnings)
