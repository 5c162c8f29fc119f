"""Who gets in: HCP's judgement by workload identity provider, statements as go-bexpr v0.1.17 evaluates them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from apostille.parties.hcp.documents import HCPAccess, file
from apostille.parties.hcp.expressions import Both, Either, Expression, Match, Not, parse
from apostille.parties.party import Acceptance, Claims, Verdict

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})  # strconv.ParseBool
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
# Python and RE2 read these alike; anything else would have to be guessed.
_ALIKE = re.compile(r"(?:[^\\()?{}\[\]|+*$^]|\\[.\-/:*+?()\[\]{}|^$\\]|\[\^?[\w.:\-]+\]|[()|+*$^]|\?(?![:P<=!#imsx]))*")


class Unevaluable(Exception):
    """The library fails on it, and nobody is let in."""


def evaluate(access: HCPAccess, claims: Claims, target: str) -> Verdict:
    """Judges an assertion's claims in HCP's order: provider, issuer, audience, statement.

    Raises ValueError for a statement that is not judged here.
    """
    document = access.providers.get(target)
    if document is None:
        return Verdict(False, "TargetMissing")
    provider = document["provider"]
    oidc = provider["oidc_config"]
    if oidc.get("issuer_uri") != claims.get("iss"):
        return Verdict(False, "IssuerUnknown")
    presented = claims.get("aud")
    presented = {presented} if isinstance(presented, str) else set(presented or ())
    if not presented & set(_audiences(document)):
        return Verdict(False, "AudienceMismatch")
    if not admits(str(provider.get("conditional_access", "")), claims):
        return Verdict(False, "ConditionRejected")
    return Verdict(True)


def acceptances(access: HCPAccess) -> Iterator[Acceptance]:
    """Every provider, which is a service principal's."""
    for principal, document in access.providers.items():
        oidc = document["provider"]["oidc_config"]
        for audience in _audiences(document):
            yield Acceptance(file(principal), principal, str(oidc.get("issuer_uri", "")), audience)


def _audiences(document: Mapping[str, Any]) -> list[str]:
    # Without a list it is the provider's own name.
    name = f"{document['parent_resource_name']}/workload-identity-provider/{document['name']}"
    return [str(one) for one in document["provider"]["oidc_config"].get("allowed_audiences") or [name]]


def admits(statement: str, claims: Claims) -> bool:
    """Whether a statement holds; one that fails does not. Raises ValueError for one that is not judged here."""
    try:
        return holds(parse(statement), claims)
    except Unevaluable:
        return False


def holds(expression: Expression, claims: Claims) -> bool:
    """Raises Unevaluable, ValueError."""
    match expression:
        case Not(operand):
            return not holds(operand, claims)
        case Both(left, right):
            return holds(left, claims) and holds(right, claims)
        case Either(left, right):
            return holds(left, claims) or holds(right, claims)
        case Match():
            return _match(expression, claims)


def _match(match: Match, claims: Claims) -> bool:
    found, known = _find({"jwt_claims": claims}, match.path)
    if not known:
        # A claim that is absent: nothing equals it, and every negation holds.
        return match.negated if match.operator != "empty" else not match.negated
    compare = {"==": _equals, "in": _contains, "matches": _matches, "empty": _empty}[match.operator]
    return compare(found, match.value) is not match.negated


def _find(found: Any, path: tuple[str, ...]) -> tuple[Any, bool]:
    """The value, and whether there is one; only the last part of a path may be missing."""
    for depth, part in enumerate(path):
        if isinstance(found, Mapping):
            if part not in found:
                if depth == len(path) - 1 and depth > 0:
                    return None, False
                raise Unevaluable(part)
            found = found[part]
        elif isinstance(found, list | tuple) and part.isdecimal() and int(part) < len(found):
            found = found[int(part)]
        else:
            raise Unevaluable(part)
    return found, True


def _equals(found: Any, value: str) -> bool:
    if isinstance(found, bool):
        if value not in _TRUE | _FALSE:
            raise Unevaluable(value)
        return (value in _TRUE) is found
    if isinstance(found, int | float):
        if _DECIMAL.fullmatch(value) is None:
            raise Unevaluable(value)
        return float(value) == float(found)
    if isinstance(found, str):
        return found == value
    raise Unevaluable(type(found).__name__)


def _contains(found: Any, value: str) -> bool:
    if isinstance(found, str):
        return value in found
    if isinstance(found, Mapping):
        return value in found
    if isinstance(found, list | tuple):
        return any(_equals(one, value) for one in found)
    raise Unevaluable(type(found).__name__)


def _matches(found: Any, pattern: str) -> bool:
    if not isinstance(found, str):
        raise Unevaluable(type(found).__name__)
    if _ALIKE.fullmatch(pattern) is None:
        raise ValueError(f"the regular expression {pattern!r} is not judged")
    try:
        # RE2's $ is the end of the text, Python's also before a last newline.
        return re.search(re.sub(r"(?<!\\)\$", r"\\Z", pattern), found) is not None
    except re.error as error:
        raise Unevaluable(str(error)) from None


def _empty(found: Any, value: str) -> bool:
    if not isinstance(found, str | list | tuple | Mapping):
        raise Unevaluable(type(found).__name__)
    return len(found) == 0
