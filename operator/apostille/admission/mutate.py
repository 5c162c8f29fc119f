"""Pods: which bindings are in force for the service account, and what they give to the pod."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from apostille.admission.declared import Declared
from apostille.admission.review import answer
from apostille.core.inject import inject
from apostille.core.pod_plan import pod_plan
from apostille.core.resolve import ResolvedBinding
from apostille.core.settings import InjectionSettings
from apostille.model.identity import ServiceAccount

# Within the webhook's own timeout of 5 seconds: an answer in time is a refusal with a reason, a late one is no answer.
WAIT_SECONDS = 3.5


class Mutate:
    """Answers ``/mutate``."""

    def __init__(self, declared: Declared, settings: InjectionSettings) -> None:
        self._declared, self._settings = declared, settings

    async def __call__(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The AdmissionReview to send back. Raises ApiError where the pod's bindings cannot be known."""
        deadline = time.monotonic() + WAIT_SECONDS
        pod = request.get("object") or {}
        spec = pod.get("spec") or {}
        # The object's own namespace is empty for pods that a controller creates from a template.
        account = ServiceAccount(str(request.get("namespace", "")), spec.get("serviceAccountName") or "default")
        bound = self._declared.bound_to(account)
        if not bound:
            bound = await self._declared.read_bound_to(account)
        for resolved in bound:
            if (refusal := await self._activating(resolved, deadline)) is not None:
                return answer(request, denial=refusal)
        plans = [pod_plan(resolved.trust.trust, resolved.binding) for resolved in bound if resolved.trust is not None]
        result = inject(pod, plans, self._settings)
        if result.denial:
            return answer(request, denial=result.denial, warnings=result.warnings)
        return answer(request, operations=result.operations, warnings=result.warnings)

    async def _activating(self, resolved: ResolvedBinding, deadline: float) -> str | None:
        """Under Enforce a pod must not come ahead of its grant: the policies would refuse its token, hours of it."""
        if resolved.trust is None or resolved.trust.trust.spec.enforcement.mode != "Enforce":
            return None
        if await self._declared.wait_for_grant(resolved, deadline):
            return None
        binding = resolved.binding
        return (
            f"WorkloadBinding {binding.namespace}/{binding.name} is activating: its grant is not in force in the API "
            "server yet; retry in a few seconds (controllers such as Deployments and Jobs do)"
        )
