"""The two kinds: every rule, all findings at once, in field order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from apostille.admission.declared import Declared
from apostille.admission.review import answer, as_warning
from apostille.admission.waiting import NotDone, Waiting
from apostille.core.conflicts import conflicts
from apostille.core.judge import judge_binding, judge_trust
from apostille.kinds import decode
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.finding import Finding, refusals, warnings
from apostille.model.names import BINDING_KIND, TRUST_KIND
from apostille.rules import catalogue
from apostille.rules.checks import first_of_each


class Validate:
    """Answers ``/validate``."""

    def __init__(self, declared: Declared, waiting: Waiting) -> None:
        self._declared, self._waiting = declared, waiting

    async def __call__(self, request: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        """The AdmissionReview to send back, by ``deadline``. Raises ApiError where it cannot be judged."""
        new, old = request.get("object") or {}, request.get("oldObject") or {}
        if not new or (old and old.get("spec") == new.get("spec")):
            return answer(request)  # a deletion; labels, finalizers: nothing that rules speak of
        kind = (request.get("kind") or {}).get("kind")
        try:
            if kind == TRUST_KIND:
                return await self._trust(request, decode.federation_trust(new))
            if kind == BINDING_KIND:
                return await self._binding(request, decode.workload_binding(new), deadline)
        except decode.InvalidObject as error:
            return answer(request, denial=str(error))
        return answer(request)

    async def _trust(self, request: Mapping[str, Any], trust: FederationTrust) -> dict[str, Any]:
        # Read, not remembered: the other one may be a line further up in the same file.
        return _verdict(request, judge_trust(trust, await self._declared.read_trusts(), self._declared.context))

    async def _binding(self, request: Mapping[str, Any], binding: WorkloadBinding, deadline: float) -> dict[str, Any]:
        name = binding.spec.trust_ref.name
        trust = await self._declared.read_trust(name)
        findings = judge_binding(binding, trust, self._declared.context)
        if trust is not None and not refusals(findings):
            findings += await self._conflicts(binding, trust)
        if refusals(findings):
            return _verdict(request, findings)
        if refusals(missing := await self._missing(binding)):
            return _verdict(request, missing)
        findings += missing
        self._declared.admitted(binding.namespace)
        notes = self._declared.misunderstood(binding.namespace)
        if trust is None:
            return _verdict(request, findings, [*notes, f"spec.trustRef.name: {self._absent(name)}"])
        if request.get("dryRun"):
            return _verdict(request, findings, notes)
        try:
            # So that the pod that comes next in the same `kubectl apply` is not missed.
            await self._waiting.for_trust(trust, deadline)
        except NotDone as reason:
            return _verdict(request, findings, [
                *notes,
                f"spec.trustRef.name: FederationTrust {name} is not in force yet; {reason}; pods created before it is "
                f"have no identity: kubectl get wbind -n {binding.namespace}",
            ])  # fmt: skip
        return _verdict(request, findings, notes)

    def _absent(self, name: str) -> str:
        if (unreadable := self._declared.unreadable_trust(name)) is not None:
            return f"{unreadable.said}; the binding waits until its owner applies it again with that field corrected"
        return (
            f"there is no FederationTrust {name} yet; the binding waits for it, and pods created before it is there "
            "have no identity"
        )

    async def _conflicts(self, binding: WorkloadBinding, trust: FederationTrust) -> list[Finding]:
        """With what is declared beside it; read, since the other one may be a line further up in the same file."""
        others = [
            (other, its)
            for other in await self._declared.read_bindings(binding.namespace)
            if set(other.spec.subject.service_account_names) & set(binding.spec.subject.service_account_names)
            and (its := trust if other.spec.trust_ref == binding.spec.trust_ref else self._trust_of(other)) is not None
        ]
        found = first_of_each(conflicts((binding, trust), others))
        return self._declared.context.modes_in(binding.namespace).applied(found)

    def _trust_of(self, binding: WorkloadBinding) -> FederationTrust | None:
        return self._declared.known_trust(binding.spec.trust_ref.name)

    async def _missing(self, binding: WorkloadBinding) -> list[Finding]:
        """X-SUB-MISSING."""
        missing = await self._declared.missing(binding.service_accounts)
        names = binding.spec.subject.service_account_names
        found = [
            catalogue.SUB_MISSING.at(
                f"spec.subject.serviceAccountNames[{names.index(account.name)}]",
                f"there is no service account {account.name} in namespace {account.namespace}",
            )
            for account in missing
        ]
        return self._declared.context.modes_in(binding.namespace).applied(found)


def _verdict(request: Mapping[str, Any], findings: Sequence[Finding], extra: Sequence[str] = ()) -> dict[str, Any]:
    """The first refusal of each field, one a line; without any, the warnings."""
    if refused := refusals(findings):
        told = {finding.path: finding for finding in reversed(refused)}
        return answer(request, denial="\n".join(str(told[path]) for path in dict.fromkeys(f.path for f in refused)))
    return answer(request, warnings=[*extra, *(as_warning(finding) for finding in warnings(findings))])
