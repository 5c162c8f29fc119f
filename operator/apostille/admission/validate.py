"""The two kinds: every rule, all findings at once, in field order."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from apostille.admission.declared import Declared
from apostille.admission.review import answer
from apostille.core.judge import judge_binding, judge_trust
from apostille.kinds import decode
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.finding import Finding, refusals, warnings
from apostille.model.names import BINDING_KIND, TRUST_KIND

# A binding is admitted once the API server asks about the pods its trust allows, so that the pod that comes next in
# the same `kubectl apply` is not missed; never longer than this.
WAIT_SECONDS = 5.0


class Validate:
    """Answers ``/validate``."""

    def __init__(self, declared: Declared) -> None:
        self._declared = declared

    async def __call__(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The AdmissionReview to send back."""
        new, old = request.get("object") or {}, request.get("oldObject") or {}
        if old and old.get("spec") == new.get("spec"):
            return answer(request)  # labels, finalizers: nothing that rules speak of
        kind = (request.get("kind") or {}).get("kind")
        try:
            if kind == TRUST_KIND:
                return self._trust(request, new)
            if kind == BINDING_KIND:
                return await self._binding(request, decode.workload_binding(new))
        except decode.InvalidObject as error:
            return answer(request, denial=str(error))
        return answer(request)

    def _trust(self, request: Mapping[str, Any], raw: dict[str, Any]) -> dict[str, Any]:
        trust = decode.federation_trust(raw)
        return _verdict(request, judge_trust(trust, list(self._declared.trusts), self._declared.context))

    async def _binding(self, request: Mapping[str, Any], binding: WorkloadBinding) -> dict[str, Any]:
        name = binding.spec.trust_ref.name
        deadline = time.monotonic() + WAIT_SECONDS
        trust = self._declared.trusts.get("", name) or await self._declared.read_trust(name)
        findings = judge_binding(binding, trust, self._declared.context)
        extra = []
        if trust is None:
            extra.append(
                f"spec.trustRef.name: there is no FederationTrust {name} yet; the binding waits for it, and pods "
                "created before it is there have no identity"
            )
        elif not refusals(findings) and not request.get("dryRun"):
            if not await self._declared.wait_for_trust(name, deadline):
                extra.append(
                    f"FederationTrust {name} is still activating; pods created in the next seconds may come without "
                    "their identity (kubectl get wbind shows them as missing)"
                )
        return _verdict(request, findings, extra)


def _verdict(request: Mapping[str, Any], findings: list[Finding], extra: list[str] | None = None) -> dict[str, Any]:
    refused = refusals(findings)
    denial = "\n".join(str(finding) for finding in refused)
    return answer(request, denial=denial, warnings=[*(str(finding) for finding in warnings(findings)), *(extra or [])])
