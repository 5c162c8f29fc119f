"""Who gets in: Databricks' judgement by federation policies (docs: "Configure a federation policy")."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apostille.parties.databricks.documents import DatabricksAccess, file
from apostille.parties.party import Acceptance, Claims, Verdict


def evaluate(access: DatabricksAccess, claims: Claims, target: str) -> Verdict:
    """Judges an assertion's claims for a service principal: issuer, audience, subject of any one of its policies."""
    mine = [document["oidc_policy"] for (application, _), document in access.policies.items() if application == target]
    if not mine:
        return Verdict(False, "TargetMissing")
    mine = [policy for policy in mine if policy.get("issuer") == claims.get("iss")]
    if not mine:
        return Verdict(False, "IssuerUnknown")
    presented = set(_strings(claims.get("aud")))
    mine = [policy for policy in mine if presented & set(_strings(policy.get("audiences")) or [access.account_id])]
    if not mine:
        return Verdict(False, "AudienceMismatch")
    if not any(_is_subject(policy, claims) for policy in mine):
        return Verdict(False, "SubjectMismatch")
    return Verdict(True)


def acceptances(access: DatabricksAccess) -> Iterator[Acceptance]:
    """Every policy of every service principal."""
    for (application, policy_id), document in access.policies.items():
        policy = document["oidc_policy"]
        for audience in _strings(policy.get("audiences")) or [access.account_id]:
            yield Acceptance(file(application, policy_id), application, str(policy.get("issuer", "")), audience)


def _is_subject(policy: Any, claims: Claims) -> bool:
    # Of an account policy, which names none, every value is somebody's.
    if not (subject := policy.get("subject")):
        return True
    return bool(claims.get(policy.get("subject_claim") or "sub") == subject)


def _strings(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(one) for one in value or ()]
