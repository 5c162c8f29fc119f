"""HCP's own rules (cloud-trust §19.6)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from apostille.model.finding import Finding, Rule, Severity
from apostille.model.identity import Issuer
from apostille.parties.hcp.documents import HCPAccess, file
from apostille.parties.hcp.evaluate import admits
from apostille.parties.hcp.expressions import Both, Either, Expression, Match, Not, parse
from apostille.parties.hcp.settings import NAME
from apostille.parties.party import TrustView
from apostille.rules import issuers

TARGET_FORM = Rule(
    "HCP101", "HCP-TARGET-FORM", Severity.BROKEN, "The target is not the name of a service principal",
    "Write the name alone: 3 to 36 lower-case letters, digits and dashes",
    "The project is the trust's; the resource name is made of both.",
)  # fmt: skip
SESSION = Rule(
    "HCP102", "HCP-SESSION", Severity.WARN, "HCP's tokens may live longer than the ceiling",
    "Set ceilings.sessionSeconds to 3600",
    "HCP takes no wish for the life of a token: it is an hour. An SDK takes what it gets; the exchange sidecar refuses "
    "what is over the ceiling.",
)  # fmt: skip
ISSUER = Rule(
    "HCP201", "X-ISSUER-PRIVATE", Severity.BROKEN, "HCP cannot use this issuer",
    "Publish discovery document and keys under a public host, and set --service-account-issuer (and "
    "--service-account-jwks-uri) to it",
    "HCP reads the issuer's discovery document and keys from the internet, and takes them from nowhere else.",
)  # fmt: skip
STATEMENT_LONG = Rule(
    "HCP202", "HCP-STATEMENT-SIZE", Severity.BROKEN, "The conditional-access statement would be longer than HCP takes",
    "Spread the service accounts over several service principals, or choose shorter names",
    "A statement has at most 511 characters, and each subject is a part of it.",
    ("status", "lint"),
)  # fmt: skip
NO_CONDITION = Rule(
    "HCP203", "HCP-NO-COND", Severity.DENY, "The provider has no conditional-access statement",
    "Set conditional_access to jwt_claims.sub == `SUBJECT`",
    "Every token of the issuer with the audience gets in.",
    ("status", "lint"),
)  # fmt: skip
REGEX = Rule(
    "HCP204", "HCP-REGEX", Severity.DENY, "A pattern is compared with part of a claim",
    "Compare with ==, or begin the pattern with ^ and end it with $",
    "`matches` looks for its pattern anywhere in the claim: `payments:reader` also finds `x-payments:reader-2`.",
    ("status", "lint"),
)  # fmt: skip
VACUOUS = Rule(
    "HCP205", "HCP-VACUOUS", Severity.DENY, "The statement admits what it does not name",
    "Name exact subjects with == and join them with or",
    "`!=`, `not`, `is not empty` and `contains` hold for names that somebody else may choose, and negations also for a "
    "claim that is absent.",
    ("status", "lint"),
)  # fmt: skip
STRANGERS = Rule(
    "HCP206", "HCP-STRANGERS", Severity.DENY, "The statement admits strangers",
    "Name exact subjects: jwt_claims.sub == `SUBJECT`",
    "It holds for service accounts that nobody declared: of a whole namespace, of a name in every namespace, or of "
    "the whole cluster.",
    ("status", "lint"),
)  # fmt: skip
UNREADABLE = Rule(
    "HCP207", "HCP-STATEMENT", Severity.BROKEN, "The statement is none",
    "Write a statement of hashicorp/go-bexpr over jwt_claims",
    "HCP refuses a provider whose statement cannot be parsed.",
    ("status", "lint"),
)  # fmt: skip
RULES: tuple[Rule, ...] = (
    TARGET_FORM, SESSION, ISSUER, STATEMENT_LONG, NO_CONDITION, REGEX, VACUOUS, STRANGERS, UNREADABLE,
)  # fmt: skip

LIFE = 3600  # seconds of a token


def target(value: str, path: str) -> Iterator[Finding]:
    """HCP-TARGET-FORM."""
    if re.fullmatch(NAME, value) is None:
        yield TARGET_FORM.at(path, f"{value!r} is not such a name")


def declared(trust: TrustView) -> Iterator[Finding]:
    """HCP-SESSION."""
    if trust.session_seconds < LIFE:
        yield SESSION.at("spec.ceilings.sessionSeconds", f"{trust.session_seconds} seconds cannot be asked for")


def issuer(found: Issuer, path: str) -> Iterator[Finding]:
    """X-ISSUER-PRIVATE."""
    if why := issuers.unusable(found.url):
        yield ISSUER.at(path, f"the cluster's issuer is {found.url!r}, {why}")


def documents(access: HCPAccess) -> Iterator[Finding]:
    """What is too broad in providers, whoever wrote them."""
    for name, document in access.providers.items():
        path = f"{file(name)}:provider.conditional_access"
        statement = str(document["provider"].get("conditional_access") or "").strip()
        if not statement:
            yield NO_CONDITION.at(path, "no statement is there")
            continue
        try:
            expression = parse(statement)
        except ValueError as error:
            yield UNREADABLE.at(path, str(error))
            continue
        yield from _judged(statement, expression, path)


def _judged(statement: str, expression: Expression, path: str) -> Iterator[Finding]:
    exact = _exact(expression, negated=False)
    # Whatever else is asked for only narrows it.
    if any(claims <= exact for claims in _WHOLE):
        return
    loose = list(_matches(expression, negated=False))
    for match, negated in loose:
        what = ".".join(match.path)
        if match.operator == "matches" and not _anchored(match.value):
            yield REGEX.at(path, f"{what} is compared with the pattern {match.value!r}")
            return
        if negated or match.operator in ("in", "empty"):
            yield VACUOUS.at(path, f"{what} is bounded by what it is not, or by a part of it")
            return
    patterns = any(match.operator == "matches" for match, _ in loose)
    if not patterns or any(_admits(statement, stranger) for stranger in _STRANGERS):
        yield STRANGERS.at(path, "it does not bind the whole subject")


def _exact(expression: Expression, *, negated: bool) -> frozenset[tuple[str, ...]]:
    """The claims that have one of several exact values whenever the statement holds."""
    match expression:
        case Match(path, "==", _, inverse) if inverse is negated:
            return frozenset({path})
        case Match():
            return frozenset()
        case Not(operand):
            return _exact(operand, negated=not negated)
        case Both(left, right) | Either(left, right):
            both = isinstance(expression, Both) is not negated
            one, other = _exact(left, negated=negated), _exact(right, negated=negated)
            return one | other if both else one & other


def _matches(expression: Expression, *, negated: bool) -> Iterator[tuple[Match, bool]]:
    """Every comparison, and whether it is one of what may not be."""
    match expression:
        case Match():
            yield expression, negated is not expression.negated
        case Not(operand):
            yield from _matches(operand, negated=not negated)
        case Both(left, right) | Either(left, right):
            yield from _matches(left, negated=negated)
            yield from _matches(right, negated=negated)


def _anchored(pattern: str) -> bool:
    # An alternative at the top would be anchored on one side only.
    return pattern.startswith("^") and pattern.endswith("$") and not pattern.endswith(r"\$") and "|" not in pattern


def _admits(statement: str, claims: Mapping[str, Any]) -> bool:
    try:
        return admits(statement, claims)
    except ValueError:
        return True


def _stranger(namespace: str, name: str, mark: str) -> dict[str, Any]:
    return {
        "sub": f"system:serviceaccount:{namespace}:{name}",
        "kubernetes.io": {
            "namespace": namespace,
            "serviceaccount": {"name": name, "uid": f"{mark}-0000-4000-8000-000000000001"},
            "pod": {"name": f"{name}-{mark}", "uid": f"{mark}-0000-4000-8000-000000000002"},
        },
    }


_KUBERNETES = ("jwt_claims", "kubernetes.io")
# Claims that together say whose a token is.
_WHOLE = (
    {("jwt_claims", "sub")},
    {(*_KUBERNETES, "serviceaccount", "uid")},
    {(*_KUBERNETES, "namespace"), (*_KUBERNETES, "serviceaccount", "name")},
)
_STRANGERS = (_stranger("x7f3", "q9k2", "a1b2c3d4"), _stranger("zz-81", "m0-4", "e5f60718"))
