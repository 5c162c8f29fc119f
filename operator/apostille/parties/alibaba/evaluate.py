"""Who gets in: RAM's evaluation of role trust policies (RAM "Policy elements", "Conditional operators").

Of a token RAM offers issuer, audience and subject as condition keys ("Create a RAM role for a trusted IdP").
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from apostille.parties.alibaba.documents import (
    ACTION,
    AUD,
    ISS,
    SUB,
    AlibabaAccess,
    federated,
    role_file,
    trust_policy,
)
from apostille.parties.party import Acceptance, Claims, Verdict
from apostille.parties.policy_grammar import as_list, glob, statements

_CLAIMS = {ISS: "iss", AUD: "aud", SUB: "sub"}


def evaluate(access: AlibabaAccess, claims: Claims, target: str) -> Verdict:
    """Judges an assertion's claims in the order of STS: provider, audience, role, policy.

    Raises ValueError where claims do not suffice for a verdict.
    """
    if claims.get("iss") != access.issuer:
        return Verdict(False, "IssuerUnknown")
    if not set(access.audiences) & {str(value) for value in as_list(claims.get("aud", []))}:
        return Verdict(False, "AudienceMismatch")
    if (role := access.role(target)) is None:
        return Verdict(False, "TargetMissing")
    if not allows(trust_policy(access, role), access.provider_arn, claims):
        return Verdict(False, "SubjectMismatch")
    return Verdict(True)


def acceptances(access: AlibabaAccess) -> Iterator[Acceptance]:
    """Every role, with every audience of the provider."""
    for role in access.roles:
        arn = f"acs:ram::{access.account_id}:role/{role.name}"
        for audience in access.audiences:
            yield Acceptance(role_file(role.name), arn, access.issuer, audience)


def allows(policy: Mapping[str, Any], provider_arn: str, claims: Claims) -> bool:
    """Whether a trust policy lets these claims in through this provider.

    Raises ValueError for a condition that cannot be judged: a guess would be a wrong verdict.
    """
    # Every statement is judged before any counts, so that the order of statements decides nothing.
    effects = {
        statement.get("Effect")
        for statement in statements(policy)
        if _acts(statement) and _names(statement, provider_arn) and _holds(statement.get("Condition") or {}, claims)
    }
    return "Allow" in effects and "Deny" not in effects


def _acts(statement: Mapping[str, Any]) -> bool:
    return any(glob(str(pattern).lower(), ACTION.lower()) for pattern in as_list(statement.get("Action", [])))


def _names(statement: Mapping[str, Any], provider_arn: str) -> bool:
    return statement.get("Principal") == "*" or bool({provider_arn, "*"} & set(federated(statement)))


_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda pattern, value: pattern == value,
    "StringEqualsIgnoreCase": lambda pattern, value: pattern.lower() == value.lower(),
    "StringLike": glob,
}


def _holds(conditions: Mapping[str, Any], claims: Claims) -> bool:
    verdicts = [
        _operator(operator, key, [str(value) for value in as_list(wanted)], claims)
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    ]
    return all(verdicts)


def _operator(operator: str, key: str, wanted: Sequence[str], claims: Claims) -> bool:
    negated = operator.startswith("StringNot")
    compare = _COMPARE.get(operator.replace("StringNot", "String", 1) if negated else operator)
    if compare is None:
        raise ValueError(f"operator {operator} is not one that policies for identity providers use")
    if key.lower() not in _CLAIMS:
        raise ValueError(f"condition key {key} is not a claim of the assertion")
    claim = claims.get(_CLAIMS[key.lower()])
    present = [] if claim is None else [str(value) for value in as_list(claim)]
    if negated:
        return all(not any(compare(pattern, value) for pattern in wanted) for value in present)
    return any(compare(pattern, value) for value in present for pattern in wanted)
