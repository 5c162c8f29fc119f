"""Who gets in: MinIO's AssumeRoleWithWebIdentity, and the policy that the credential gets (cloud-trust §11).

The issuer of a token is not among what MinIO compares: any token that a known key signed is the provider's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from apostille.parties.minio.documents import DURATION, EXCHANGE, POLICIES, SUBJECT, MinIOAccess
from apostille.parties.party import Acceptance, Claims, Verdict


def evaluate(access: MinIOAccess, claims: Claims, target: str) -> Verdict:
    """Judges an assertion's claims: audience, policies of the credential, and whether these are the target's."""
    client = access.setting("CLIENT_ID")
    if client not in _list(claims.get("aud", ())) and client not in _list(claims.get("azp", ())):
        return Verdict(False, "AudienceMismatch")
    role_policy = access.setting("ROLE_POLICY")
    named = role_policy.split(",") if role_policy else _named(claims.get(access.setting("CLAIM_NAME") or "policy"))
    policies = [access.policies[name.strip()] for name in named if name.strip() in access.policies]
    if not policies:
        return Verdict(False, "TargetMissing" if role_policy else "SubjectMismatch")
    statements = [statement for policy in policies for statement in policy["Statement"]]
    for statement in statements:
        _check_denial(statement)
    mine = [statement for statement in statements if statement.get("Effect") == "Allow"]
    if not any(_for(statement, claims) for statement in mine):
        return Verdict(False, "SubjectMismatch")
    if not any(statement.get("Sid") == target and _for(statement, claims) for statement in mine):
        return Verdict(False, "TargetMissing")
    return Verdict(True)


def acceptances(access: MinIOAccess) -> Iterator[Acceptance]:
    """Every name of a statement that allows something."""
    every = [statement for policy in access.policies.values() for statement in policy["Statement"]]
    for target in sorted({str(one.get("Sid", "")) for one in every if one.get("Effect") == "Allow"}):
        yield Acceptance(POLICIES, target, "", access.setting("CLIENT_ID"))


def _check_denial(statement: Mapping[str, Any]) -> None:
    """Raises ValueError for a Deny on anything but the credential's life: what it takes away is not judged here."""
    keys = {key for keys in (statement.get("Condition") or {}).values() for key in keys}
    if statement.get("Effect") == "Deny" and not (_list(statement.get("Action")) == [EXCHANGE] and keys == {DURATION}):
        raise ValueError(f"statement {statement.get('Sid', '')!r} denies more than long credentials")


def _named(claim: Any) -> list[str]:
    # As MinIO reads a policy claim: a list, or one text with commas.
    return [part for value in _list(claim or ()) for part in str(value).split(",")]


def _for(statement: Mapping[str, Any], claims: Claims) -> bool:
    """Whether a statement speaks to this subject. Raises ValueError on a condition that is not on the subject."""
    for operator, keys in (statement.get("Condition") or {}).items():
        for key, wanted in keys.items():
            if (operator, key) != ("StringEquals", SUBJECT):
                raise ValueError(f"condition {operator} on {key} is not one that says who gets in")
            if claims.get("sub") not in _list(wanted):
                return False
    return True


def _list(value: Any) -> list[Any]:
    return [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
