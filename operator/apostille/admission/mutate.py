"""Pods: which bindings are in force for the service account, and what they give to the pod."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apostille.admission.declared import Declared
from apostille.admission.review import answer
from apostille.admission.waiting import NotDone, Waiting
from apostille.core.inject import inject
from apostille.core.pod_plan import pod_plan
from apostille.core.resolve import ResolvedBinding
from apostille.core.settings import InjectionSettings
from apostille.model.identity import ServiceAccount


class Mutate:
    """Answers ``/mutate``."""

    def __init__(self, declared: Declared, waiting: Waiting, settings: InjectionSettings) -> None:
        self._declared, self._waiting, self._settings = declared, waiting, settings

    async def __call__(self, request: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        """The AdmissionReview to send back, by ``deadline``. Raises ApiError where the pod's bindings are not known."""
        pod = request.get("object") or {}
        spec = pod.get("spec") or {}
        # The object's own namespace is empty for pods that a controller creates from a template.
        account = ServiceAccount(str(request.get("namespace", "")), spec.get("serviceAccountName") or "default")
        unread = self._declared.obstacles(account)
        if refused := next((one for one in unread if one.mode == "Enforce"), None):
            return answer(request, denial=refused.refusal)
        bound = await self._declared.bound_to(account)
        for resolved in bound:
            if (refusal := await self._activating(resolved, deadline)) is not None:
                return answer(request, denial=refusal)
        plans = [pod_plan(resolved.trust.trust, resolved.binding) for resolved in bound if resolved.trust is not None]
        result = inject(pod, plans, self._settings)
        if result.denial:
            return answer(request, denial=result.denial, warnings=result.warnings)
        warnings = [*(one.refusal for one in unread), *result.warnings]
        return answer(request, operations=result.operations, warnings=warnings)

    async def _activating(self, resolved: ResolvedBinding, deadline: float) -> str | None:
        """Under Enforce a pod must not come ahead of its grant: the policies would refuse its token, hours of it."""
        if resolved.trust is None or resolved.trust.trust.spec.enforcement.mode != "Enforce":
            return None
        binding = resolved.binding
        try:
            await self._waiting.for_grant(binding, deadline)
        except NotDone as reason:
            return (
                f"WorkloadBinding {binding.namespace}/{binding.name} is activating: its grant is not in force in the "
                f"API server yet; {reason}"
            )
        return None
