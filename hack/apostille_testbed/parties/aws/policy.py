"""Evaluation of role trust policies (IAM user guide, "Policy evaluation logic" and "Condition operators").

Independent of the product's evaluator on purpose: the two are held against each other by a differential test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

ACTION = "sts:AssumeRoleWithWebIdentity"

# The claims of a generic OIDC issuer that IAM offers as condition keys (cloud-trust §3.2).
_CLAIMS = ("aud", "sub", "amr")

_STRING_OPERATORS = frozenset(
    f"String{negation}{comparison}" for negation in ("", "Not") for comparison in ("Equals", "EqualsIgnoreCase", "Like")
)


class UnsupportedOperator(ValueError):
    """The condition operator is unknown, or one that this party cannot judge."""


def as_list(value: Any) -> list[Any]:
    """IAM's grammar allows one element wherever it allows a list of them."""
    return value if isinstance(value, list) else [value]


def check_operator(name: str) -> None:
    """Raises UnsupportedOperator unless conditions with this operator can be judged."""
    _split(name)


def permits(
    policy: Mapping[str, Any],
    provider_arn: str,
    claims: Mapping[str, Any],
    request: Mapping[str, list[str]] | None = None,
) -> bool:
    """Whether ``policy`` lets a token of ``provider_arn`` with these claims assume the role.

    ``request`` holds further condition keys with their values, such as ``sts:RoleSessionName``.
    Several statements are alternatives, an explicit Deny wins (IAM "Policy evaluation logic").
    Raises UnsupportedOperator for a condition that cannot be judged.
    """
    context = _context(provider_arn, claims, request or {})
    effects = {
        statement["Effect"]
        for statement in as_list(policy.get("Statement", []))
        if _covers_action(statement)
        and _covers_principal(statement, provider_arn)
        and _conditions_hold(statement.get("Condition") or {}, context)
    }
    return "Allow" in effects and "Deny" not in effects


def _context(provider_arn: str, claims: Mapping[str, Any], request: Mapping[str, list[str]]) -> dict[str, list[str]]:
    prefix = provider_arn.split(":oidc-provider/", 1)[1]
    keys: dict[str, list[str]] = {name.lower(): values for name, values in request.items()}
    for claim in _CLAIMS:
        if values := [str(value) for value in as_list(claims.get(claim, []))]:
            # Key names are compared without regard to case, their values are not (IAM "Condition").
            keys[f"{prefix}:{claim}".lower()] = values
    return keys


def _covers_action(statement: Mapping[str, Any]) -> bool:
    # Actions are case-insensitive and may hold wildcards (IAM "Action").
    if "NotAction" in statement:
        return not _any_like(as_list(statement["NotAction"]), ACTION)
    return _any_like(as_list(statement.get("Action", [])), ACTION)


def _any_like(patterns: Iterable[Any], action: str) -> bool:
    return any(_like(str(pattern).lower(), action.lower()) for pattern in patterns)


def _covers_principal(statement: Mapping[str, Any], provider_arn: str) -> bool:
    if "NotPrincipal" in statement:
        return not _names_provider(statement["NotPrincipal"], provider_arn)
    return _names_provider(statement.get("Principal"), provider_arn)


def _names_provider(principal: Any, provider_arn: str) -> bool:
    if principal == "*":
        return True
    if not isinstance(principal, Mapping):
        return False
    federated = as_list(principal.get("Federated", []))
    return provider_arn in federated or "*" in federated


def _conditions_hold(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, list[str]]) -> bool:
    # All are judged before any counts: an operator that cannot be judged must be seen even after one that failed.
    verdicts = [
        _condition_holds(operator, context.get(key.lower(), []), [_text(value) for value in as_list(wanted)])
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    ]
    return all(verdicts)


def _condition_holds(operator: str, present: list[str], wanted: list[str]) -> bool:
    quantifier, base, if_exists = _split(operator)
    if base == "Null":
        return all((value.lower() == "true") is (not present) for value in wanted)
    negated = base.startswith("StringNot")
    if not present:
        # ForAnyValue is false without the key, negated or not, "…IfExists" or not (IAM "Multivalued context keys"; seen
        # on AWS: https://repost.aws/questions/QU9HFmDzP0QGuU-fd7rS6B7w). Otherwise "…IfExists" and ForAllValues are
        # true, and so is a negated operator (IAM "String condition operators").
        return quantifier != "ForAnyValue" and (if_exists or negated or quantifier == "ForAllValues")
    comparison = base.removeprefix("StringNot").removeprefix("String")
    matched = [any(_compare(comparison, pattern, value) for pattern in wanted) for value in present]
    if negated:
        matched = [not match for match in matched]
    every = quantifier == "ForAllValues" or (negated and not quantifier)
    return all(matched) if every else any(matched)


def _split(operator: str) -> tuple[str, str, bool]:
    quantifier, colon, base = operator.rpartition(":")
    if_exists = base.endswith("IfExists")
    base = base.removesuffix("IfExists")
    known = base in _STRING_OPERATORS or (base == "Null" and not if_exists)
    if not known or (colon and quantifier not in ("ForAllValues", "ForAnyValue")):
        raise UnsupportedOperator(operator)
    return quantifier, base, if_exists


def _compare(comparison: str, pattern: str, value: str) -> bool:
    if comparison == "Like":
        return _like(pattern, value)
    if comparison == "EqualsIgnoreCase":
        return pattern.lower() == value.lower()
    return pattern == value


def _like(pattern: str, value: str) -> bool:
    # ``*`` is any run of characters, ``/`` and ``:`` included, ``?`` is exactly one (IAM "StringLike").
    parts = {"*": ".*", "?": "."}
    return re.fullmatch("".join(parts.get(char) or re.escape(char) for char in pattern), value, re.DOTALL) is not None


def _text(value: Any) -> str:
    # IAM takes JSON booleans and numbers where it expects strings (IAM "JSON policy grammar").
    return str(value).lower() if isinstance(value, bool) else str(value)
