"""Who gets in: Entra compares issuer, subject and audience with one credential, exactly (cloud-trust §5.2, §18.4)."""

from __future__ import annotations

from collections.abc import Iterator

from apostille.parties.azure import documents
from apostille.parties.azure.documents import AzureAccess
from apostille.parties.party import Acceptance, Claims, Verdict


def evaluate(access: AzureAccess, claims: Claims, target: str) -> Verdict:
    """Judges an assertion's claims in Entra's order: identity, issuer, subject, audience.

    Raises ValueError where a credential's expression decides, and for a token with several audiences: what Entra makes
    of one is not documented.
    """
    identity = access.identities.get(target)
    if identity is None or not identity.credentials:
        return Verdict(False, "TargetMissing")
    if any(one.flexible for one in identity.credentials):
        raise ValueError("a claims matching expression is not judged")
    mine = [one for one in identity.credentials if one.issuer == claims.get("iss")]
    if not mine:
        return Verdict(False, "IssuerUnknown")
    mine = [one for one in mine if one.subject == claims.get("sub")]
    if not mine:
        return Verdict(False, "SubjectMismatch")
    presented = claims.get("aud", ())
    receivers = {presented} if isinstance(presented, str) else {str(one) for one in presented}
    accepted = {audience for one in mine for audience in one.audiences}
    if not accepted & receivers:
        return Verdict(False, "AudienceMismatch")
    if len(receivers) > 1:
        raise ValueError("the token has several audiences")
    return Verdict(True)


def acceptances(access: AzureAccess) -> Iterator[Acceptance]:
    """Every credential of every identity."""
    for client, identity in access.identities.items():
        for one in identity.credentials:
            for audience in one.audiences:
                yield Acceptance(documents.file(client), client, one.issuer, audience)
