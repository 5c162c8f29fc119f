"""Who gets in: Google's Security Token Service, then IAM on the service account (cloud-trust §4.2, §4.3, §18.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from apostille.parties.gcp import cel, documents
from apostille.parties.gcp.documents import GCPAccess
from apostille.parties.gcp.settings import DIRECT
from apostille.parties.party import Acceptance, Claims, Verdict

MAX_SUBJECT = 127  # bytes of google.subject (cloud-trust §4.1)


def evaluate(access: GCPAccess, claims: Claims, target: str) -> Verdict:
    """Judges an assertion's claims: provider, issuer, audience, mapping, condition, then the target's members.

    Raises ValueError where something cannot be judged.
    """
    if access.pool.get("disabled") or access.provider.get("disabled"):
        return Verdict(False, "TargetMissing")
    if claims.get("iss") != access.oidc.get("issuerUri"):
        return Verdict(False, "IssuerUnknown")
    presented = claims.get("aud", ())
    if not set(access.audiences) & set([presented] if isinstance(presented, str) else presented):
        return Verdict(False, "AudienceMismatch")
    mapped = attributes(access.provider, claims)
    if mapped is None:
        return Verdict(False, "Misconfigured")
    if not admits(access.provider, claims, mapped):
        return Verdict(False, "ConditionRejected")
    mine = identities(access.pool_name, mapped)
    if target == DIRECT:
        return Verdict(True) if mine & set(access.direct) else Verdict(False, "SubjectMismatch")
    if target not in access.service_accounts:
        return Verdict(False, "TargetMissing")
    for member, condition in documents.members(access.service_accounts[target], documents.IMPERSONATES):
        if member in mine:
            if condition is not None:
                raise ValueError(f"the binding of {member} has an IAM condition, which claims do not decide")
            return Verdict(True)
    return Verdict(False, "SubjectMismatch")


def acceptances(access: GCPAccess) -> Iterator[Acceptance]:
    """Every service account, and direct access; all by the one provider."""
    targets = {email: documents.account_file(email) for email in access.service_accounts}
    if access.direct:
        targets[DIRECT] = documents.DIRECT
    for target, file in targets.items():
        for audience in access.audiences:
            yield Acceptance(file, target, str(access.oidc.get("issuerUri", "")), audience)


def attributes(provider: Mapping[str, Any], claims: Claims) -> dict[str, Any] | None:
    """The mapped attributes by their names; None where a mapping fails or the subject is none that Google takes."""
    mapped: dict[str, Any] = {}
    for name, expression in (provider.get("attributeMapping") or {}).items():
        try:
            mapped[str(name)] = cel.parse(str(expression)).value({"assertion": claims})
        except cel.CELError:
            return None
    subject = mapped.get("google.subject")
    if not isinstance(subject, str) or not 0 < len(subject.encode()) <= MAX_SUBJECT:
        return None
    return mapped


def admits(provider: Mapping[str, Any], claims: Claims, mapped: Mapping[str, Any]) -> bool:
    """Whether the condition lets the claims pass; without one everything does."""
    condition = str(provider.get("attributeCondition") or "").strip()
    if not condition:
        return True
    google, attribute = (
        {name.removeprefix(prefix): value for name, value in mapped.items() if name.startswith(prefix)}
        for prefix in ("google.", "attribute.")
    )
    return cel.parse(condition).holds({"assertion": claims, "google": google, "attribute": attribute})


def identities(pool_name: str, mapped: Mapping[str, Any]) -> set[str]:
    """Every IAM member that a mapped identity is (cloud-trust §4.2)."""
    everybody = f"principalSet://iam.googleapis.com/{pool_name}"
    mine = {documents.principal(pool_name, mapped["google.subject"]), f"{everybody}/*"}
    mine |= {f"{everybody}/{name}/{value}" for name, value in mapped.items() if name.startswith("attribute.")}
    groups = mapped.get("google.groups")
    return mine | {f"{everybody}/group/{group}" for group in (groups if isinstance(groups, list) else ())}
