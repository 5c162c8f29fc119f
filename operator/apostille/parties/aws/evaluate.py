"""Who gets in: AWS's evaluation of web-identity trust policies (cloud-trust §3.2, IAM "Policy evaluation logic")."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from apostille.parties.aws.policy import ACTION, AWSAccess, role_file, trust_policy
from apostille.parties.party import Acceptance, Claims, Verdict
from apostille.parties.policy_grammar import as_list, glob, statements

# Claims of a generic OIDC issuer that IAM offers as condition keys (cloud-trust §3.2).
_CLAIMS = ("sub", "aud", "amr")


def evaluate(access: AWSAccess, claims: Claims, target: str) -> Verdict:
    """Judges an assertion's claims in the order of STS: provider, audience, role, policy.

    Raises ValueError where claims do not suffice for a verdict.
    """
    if claims.get("iss") != access.issuer:
        return Verdict(False, "IssuerUnknown")
    if not {access.audience, *access.other_audiences} & {str(value) for value in as_list(claims.get("aud", []))}:
        return Verdict(False, "AudienceMismatch")
    if (role := access.role(target)) is None:
        return Verdict(False, "TargetMissing")
    if not allows(trust_policy(access, role), access.provider_arn, claims):
        return Verdict(False, "SubjectMismatch")
    return Verdict(True)


def acceptances(access: AWSAccess) -> Iterator[Acceptance]:
    """Every role, with every audience of the provider."""
    for role in access.roles:
        for audience in (access.audience, *access.other_audiences):
            yield Acceptance(role_file(role.arn), role.arn, access.issuer, audience)


def allows(
    policy: Mapping[str, Any], provider_arn: str, claims: Claims, request: Mapping[str, Sequence[str]] | None = None
) -> bool:
    """Whether a trust policy lets these claims in through this provider.

    ``request`` holds condition keys of the call itself, such as ``sts:RoleSessionName``. Raises ValueError for a
    condition that cannot be judged: a guess would be a wrong verdict.
    """
    host = provider_arn.split(":oidc-provider/", 1)[1]
    context = {name.lower(): list(values) for name, values in (request or {}).items()}
    context |= {
        f"{host}:{claim}".lower(): [str(value) for value in as_list(claims[claim])]
        for claim in _CLAIMS
        if claim in claims
    }
    # Every statement is judged before any counts, so that the order of statements decides nothing.
    effects = {
        statement.get("Effect")
        for statement in statements(policy)
        if _acts(statement)
        and _names_provider(statement, provider_arn)
        and _holds(statement.get("Condition") or {}, context, policy.get("Version") == "2012-10-17")
    }
    return "Allow" in effects and "Deny" not in effects


def _acts(statement: Mapping[str, Any]) -> bool:
    # Actions are compared without regard to case and may hold wildcards (IAM "Action").
    if "NotAction" in statement:
        return not _any_action(statement["NotAction"])
    return _any_action(statement.get("Action", []))


def _any_action(patterns: Any) -> bool:
    return any(glob(str(pattern).lower(), ACTION.lower()) for pattern in as_list(patterns))


def _names_provider(statement: Mapping[str, Any], provider_arn: str) -> bool:
    if "NotPrincipal" in statement:
        return not _covers(statement["NotPrincipal"], provider_arn)
    return _covers(statement.get("Principal"), provider_arn)


def _covers(principal: Any, provider_arn: str) -> bool:
    if not isinstance(principal, Mapping):
        return bool(principal == "*")
    federated = as_list(principal.get("Federated", []))
    return provider_arn in federated or "*" in federated


_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda pattern, value: pattern == value,
    "StringEqualsIgnoreCase": lambda pattern, value: pattern.lower() == value.lower(),
    "StringLike": glob,
}


def _holds(conditions: Mapping[str, Any], context: Mapping[str, list[str]], variables: bool) -> bool:
    verdicts = [
        _operator(operator, key, [_text(value, variables) for value in as_list(wanted)], context)
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    ]
    return all(verdicts)


def _text(value: Any, variables: bool) -> str:
    # JSON's booleans and numbers stand for their text (IAM "JSON policy grammar").
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if variables and "${" in text:
        raise ValueError(f"{text!r} holds a policy variable, whose value claims do not tell")
    return text


def _operator(operator: str, key: str, wanted: Sequence[str], context: Mapping[str, list[str]]) -> bool:
    quantifier, colon, base = operator.rpartition(":")
    optional = base.endswith("IfExists")
    base = base.removesuffix("IfExists")
    negated = base.startswith("StringNot")
    compare = _COMPARE.get(base.replace("StringNot", "String", 1) if negated else base)
    # "You can add IfExists to the end of any condition operator name except the Null condition" (IAM "IfExists").
    known = compare is not None or (base == "Null" and not optional)
    if not known or (colon and quantifier not in ("ForAllValues", "ForAnyValue")):
        raise ValueError(f"operator {operator} is not one that web-identity policies use")
    present = context.get(key.lower())
    if present is None and key.lower().startswith(("aws:", "sts:")):
        raise ValueError(f"condition key {key} is not a claim of the assertion")
    if compare is None:
        return all((value.lower() == "true") is (not present) for value in wanted)
    if not present:
        # Vacuous truth: the reason why such operators alone restrict nothing. ForAnyValue is false without values,
        # negated or not, IfExists or not (IAM "Set operators for multivalued context keys").
        return quantifier != "ForAnyValue" and (optional or negated or quantifier == "ForAllValues")
    hits = [any(compare(pattern, value) for pattern in wanted) is not negated for value in present]
    return all(hits) if quantifier == "ForAllValues" or (negated and not quantifier) else any(hits)
