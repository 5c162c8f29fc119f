"""Who gets in: Snowflake's judgement by workload identities and authentication policy (cloud-trust §8)."""

from __future__ import annotations

from collections.abc import Iterator

from apostille.parties.party import Acceptance, Claims, Verdict
from apostille.parties.snowflake.documents import Policy, SnowflakeAccess

# What an identity without a list accepts: the same for every account (CREATE USER, OIDC_AUDIENCE_LIST).
DEFAULT_AUDIENCE = "snowflakecomputing.com"


def evaluate(access: SnowflakeAccess, claims: Claims, target: str) -> Verdict:
    """Judges an assertion's claims for a login as a user: identity, audience, user, policy."""
    if target not in access.users:
        return Verdict(False, "TargetMissing")
    issuer, subject = claims.get("iss"), claims.get("sub")
    every = [(user, one) for user, identities in access.users.items() for one in identities.values()]
    if all(one.issuer != issuer for _, one in every):
        return Verdict(False, "IssuerUnknown")
    mine = [(user, one) for user, one in every if (one.issuer, one.subject) == (issuer, subject)]
    if not any(user == target for user, _ in mine):
        return Verdict(False, "SubjectMismatch")
    presented = claims.get("aud")
    presented = {presented} if isinstance(presented, str) else set(presented or ())
    if not any(user == target and presented & set(one.audiences or (DEFAULT_AUDIENCE,)) for user, one in mine):
        return Verdict(False, "AudienceMismatch")
    if not _admits(access.policy, str(issuer)):
        return Verdict(False, "ConditionRejected")
    return Verdict(True)


def acceptances(access: SnowflakeAccess) -> Iterator[Acceptance]:
    """Every workload identity of every user."""
    for user, identities in access.users.items():
        for one in identities.values():
            for audience in one.audiences or (DEFAULT_AUDIENCE,):
                yield Acceptance(f"user-{user}.sql", user, one.issuer, audience)


def _admits(policy: Policy, issuer: str) -> bool:
    wanted = ((policy.methods, "WORKLOAD_IDENTITY"), (policy.providers, "OIDC"), (policy.issuers, issuer))
    return all(not allowed or "ALL" in allowed or value in allowed for allowed, value in wanted)
