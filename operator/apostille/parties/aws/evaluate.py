"""Who gets in: AWS's evaluation of web-identity trust policies (cloud-trust §3.2, IAM "policy evaluation logic")."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from apostille.parties.aws.policy import ACTION, AWSAccess, trust_policy
from apostille.parties.party import Claims, Verdict


def evaluate(access: AWSAccess, claims: Claims, target: str) -> Verdict:
    """Judges an assertion's claims in the order of STS: provider, audience, role, policy."""
    if claims.get("iss") != access.issuer:
        return Verdict(False, "IssuerUnknown")
    if access.audience not in _list(claims.get("aud", [])):
        return Verdict(False, "AudienceMismatch")
    if (role := access.role(target)) is None:
        return Verdict(False, "TargetMissing")
    if not allows(trust_policy(access, role), access.provider_arn, claims):
        return Verdict(False, "SubjectMismatch")
    return Verdict(True)


def allows(policy: Mapping[str, Any], provider_arn: str, claims: Claims) -> bool:
    """Whether a trust policy lets these claims in through this provider. Raises ValueError on an unknown operator."""
    host = provider_arn.split(":oidc-provider/", 1)[1]
    context: dict[str, list[str]] = {
        f"{host}:{claim}".lower(): [str(value) for value in _list(claims[claim])]
        for claim in ("sub", "aud")
        if claim in claims
    }
    allowed = False
    for statement in _list(policy.get("Statement", [])):
        if not _acts(statement) or not _names(statement.get("Principal"), provider_arn):
            continue
        if not _holds(statement.get("Condition") or {}, context):
            continue
        if statement.get("Effect") == "Deny":
            return False
        allowed = statement.get("Effect") == "Allow" or allowed
    return allowed


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _acts(statement: Mapping[str, Any]) -> bool:
    # Actions are compared without regard to case and may hold wildcards (IAM "Action").
    return any(_glob(str(action).lower(), ACTION.lower()) for action in _list(statement.get("Action", [])))


def _names(principal: Any, provider_arn: str) -> bool:
    if principal == "*":
        return True
    federated = _list((principal or {}).get("Federated", []))
    return provider_arn in federated or "*" in federated


def _glob(pattern: str, value: str) -> bool:
    expression = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch(expression, value, re.DOTALL) is not None


_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda pattern, value: pattern == value,
    "StringEqualsIgnoreCase": lambda pattern, value: pattern.lower() == value.lower(),
    "StringLike": _glob,
}


def _holds(conditions: Mapping[str, Any], context: Mapping[str, list[str]]) -> bool:
    return all(
        _operator(operator, key, _list(wanted), context)
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _operator(operator: str, key: str, wanted: list[Any], context: Mapping[str, list[str]]) -> bool:
    quantifier, _, base = operator.rpartition(":")
    optional = base.endswith("IfExists")
    base = base.removesuffix("IfExists")
    present = context.get(key.lower())
    if base == "Null":
        return all((str(value).lower() == "true") == (not present) for value in wanted)
    negated = base.startswith("StringNot")
    compare = _COMPARE.get(base.replace("StringNot", "String", 1) if negated else base)
    if compare is None:
        raise ValueError(f"operator {operator} is not one that web-identity policies use")
    if not present:
        # Vacuous truth: the reason why such operators alone restrict nothing.
        return optional or negated or quantifier == "ForAllValues"
    hits = [any(compare(str(pattern), value) for pattern in wanted) != negated for value in present]
    return all(hits) if quantifier == "ForAllValues" or (negated and not quantifier) else any(hits)
