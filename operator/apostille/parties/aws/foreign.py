"""Rules on AWS's documents, ours or anybody's (cloud-trust §19.2): what a trust policy lets in beyond what was meant.

Paths are ``FILE:FIELD``. Each form of breadth has its rule; that together they are all, a test shows by asking policies
about strangers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apostille.model.finding import EnforcedIn, Finding, Rule, Severity
from apostille.parties.aws.policy import PROVIDER_FILE, AWSAccess, Role, role_file, trust_policy
from apostille.parties.aws.rules import LONG_SESSION, SESSION_LONG
from apostille.parties.policy_grammar import FIELD, as_list, statements

_LINT: tuple[EnforcedIn, ...] = ("status", "lint")

NO_AUD = Rule(
    "AWS301", "AWS-NO-AUD", Severity.DENY, "The trust policy takes every audience",
    "Add StringEquals on ISSUER:aud with the one audience of the trust",
    "A token that was made for another receiver is good here too: whoever receives it can be this role.",
    _LINT,
)  # fmt: skip
NO_SUB = Rule(
    "AWS302", "AWS-NO-SUB", Severity.DENY, "The trust policy takes every subject",
    "Add StringEquals on ISSUER:sub with the exact subjects: system:serviceaccount:NAMESPACE:NAME",
    "Every service account of the cluster, those of strangers included, can ask for a token with the audience and be "
    "this role.",
    _LINT,
)  # fmt: skip
AUD_WILDCARD = Rule(
    "AWS303", "AWS-AUD-WILDCARD", Severity.DENY, "The audience is compared by a pattern",
    "Use StringEquals with the exact audience",
    "A pattern takes audiences of receivers that nobody thought of.",
    _LINT,
)  # fmt: skip
SUB_CLUSTER = Rule(
    "AWS304", "AWS-SUB-CLUSTER-WIDE", Severity.DENY, "The pattern takes subjects of other namespaces",
    "Use StringEquals with the exact subjects",
    "A star stands for anything, colons included. Whoever may create a namespace whose name fits is this role.",
    _LINT,
)  # fmt: skip
SUB_NAMESPACE = Rule(
    "AWS305", "AWS-SUB-NAMESPACE-WIDE", Severity.DENY, "The pattern takes every service account of a namespace",
    "Use StringEquals with the exact subjects",
    "`default` is among them, as which every pod runs that names no service account.",
    _LINT,
)  # fmt: skip
SUB_WILDCARD = Rule(
    "AWS306", "AWS-SUB-WILDCARD", Severity.WARN, "The subject's name is compared by a pattern",
    "Use StringEquals with the exact subjects",
    "Whoever may create service accounts in the namespace chooses a name that fits.",
    _LINT,
)  # fmt: skip
SUB_INVALID = Rule(
    "AWS307", "AWS-SUB-INVALID", Severity.BROKEN, "No service account has this subject",
    "Write system:serviceaccount:NAMESPACE:NAME; StringEquals does not expand a *",
    "StringEquals compares byte for byte: a star, a missing part or a capital letter makes it a subject that no token "
    "has, so nobody gets in.",
    _LINT,
)  # fmt: skip
VACUOUS = Rule(
    "AWS308", "AWS-VACUOUS-OP", Severity.DENY, "The condition holds also where there is nothing to compare",
    "Use StringEquals, without ForAllValues: and without IfExists",
    "ForAllValues, ...IfExists and negated operators are true for a request without the key. Alone they restrict "
    "nothing.",
    _LINT,
)  # fmt: skip
KEY_PREFIX = Rule(
    "AWS309", "AWS-KEY-PREFIX", Severity.BROKEN, "The condition's key belongs to no token of this issuer",
    "Write the issuer without https:// and byte for byte, then :aud or :sub",
    "With StringEquals a key that is never there never matches and nobody gets in; with IfExists it always does and "
    "everybody gets in.",
    _LINT,
)  # fmt: skip
PRINCIPAL_STAR = Rule(
    "AWS310", "AWS-PRINCIPAL-STAR", Severity.DENY, "The trust policy takes everybody",
    "Name the OIDC provider's ARN as Principal.Federated",
    "A star as principal is every identity of every account.",
    _LINT,
)  # fmt: skip
MIXED_ISSUER = Rule(
    "AWS311", "AWS-MIXED-ISSUER", Severity.DENY, "One statement trusts several issuers",
    "Write a statement for each, with conditions of its own",
    "The keys of a condition begin with one issuer: tokens of the other are not restricted by it.",
    _LINT,
)  # fmt: skip
ACTION_STAR = Rule(
    "AWS312", "AWS-ACTION-STAR", Severity.DENY, "The trust policy allows more than the exchange",
    "Name sts:AssumeRoleWithWebIdentity alone",
    "Other ways of assuming the role are judged by other condition keys, which this statement does not have.",
    _LINT,
)  # fmt: skip
NOT_ELEMENT = Rule(
    "AWS313", "AWS-NOT-ELEMENT", Severity.DENY, "The trust policy says who is not trusted",
    "Use Principal and Action",
    "NotPrincipal and NotAction allow everything that is not named, what is invented tomorrow included.",
    _LINT,
)  # fmt: skip
AUD_UNREGISTERED = Rule(
    "AWS314", "AWS-AUD-NOT-REGISTERED", Severity.BROKEN, "The provider does not accept the audience",
    "Add it to ClientIDList of the OIDC provider, or correct it",
    "STS compares the audience with the provider's list before it looks at any policy.",
    _LINT,
)  # fmt: skip
CLIENT_UNUSED = Rule(
    "AWS315", "AWS-CLIENTID-UNUSED", Severity.WARN, "The provider accepts an audience that no role asks for",
    "Remove it from ClientIDList",
    "A leftover: a role that forgets to restrict the audience accepts tokens for it.",
    _LINT,
)  # fmt: skip
THUMBPRINT = Rule(
    "AWS316", "AWS-THUMBPRINT", Severity.BROKEN, "A thumbprint is not one",
    "Write the SHA-1 of the authority's certificate in 40 hexadecimal digits, or leave ThumbprintList out",
    "IAM refuses the provider.",
    _LINT,
)  # fmt: skip
THUMBPRINT_PINNED = Rule(
    "AWS317", "AWS-THUMBPRINT", Severity.WARN, "The provider pins a certificate",
    "Leave ThumbprintList out where the issuer's certificate is one of a public authority",
    "With a public authority IAM does not look at it; with a private one exchanges end with that certificate.",
    _LINT,
)  # fmt: skip
ROLE_ADMIN = Rule(
    "AWS318", "AWS-ROLE-ADMIN", Severity.WARN, "The role may do everything",
    "Attach a policy of its own that allows what the workload needs",
    "Whoever gets into one of its pods has the account.",
    _LINT,
)  # fmt: skip
RULES: tuple[Rule, ...] = (
    NO_AUD, NO_SUB, AUD_WILDCARD, SUB_CLUSTER, SUB_NAMESPACE, SUB_WILDCARD, SUB_INVALID, VACUOUS, KEY_PREFIX,
    PRINCIPAL_STAR, MIXED_ISSUER, ACTION_STAR, NOT_ELEMENT, AUD_UNREGISTERED, CLIENT_UNUSED, THUMBPRINT,
    THUMBPRINT_PINNED, ROLE_ADMIN,
)  # fmt: skip

_SUBJECT = re.compile(r"system:serviceaccount:[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?:[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
# Issuers of CI services, whose subjects have forms of their own.
_OF_OTHERS = re.compile(
    r"(token\.actions\.githubusercontent\.com|gitlab\.com|vstoken\.dev\.azure\.com|app\.terraform\.io|"
    r"oidc\.circleci\.com|agent\.buildkite\.com)(/.*)?"
)
_COMPARING = ("StringEquals", "StringEqualsIgnoreCase", "StringLike")


@dataclass(frozen=True, slots=True)
class _Condition:
    """One line of a condition block: ``operator`` with its quantifier and suffix, and what is wanted."""

    operator: str
    key: str
    values: tuple[str, ...]

    @property
    def base(self) -> str:
        return self.operator.rpartition(":")[2].removesuffix("IfExists")

    @property
    def constrains(self) -> bool:
        """Whether a request without the key, or with another value, is refused."""
        vacuous = self.operator.endswith("IfExists") or self.operator.startswith("ForAllValues:")
        return not vacuous and self.base in _COMPARING

    @property
    def patterns(self) -> tuple[str, ...]:
        """Values that stand for several."""
        return tuple(value for value in self.values if self.base == "StringLike" and set("*?") & set(value))


def documents(access: AWSAccess) -> Iterator[Finding]:
    """Everything there is to find in a provider and the roles that trust it."""
    yield from _provider(access)
    for role in access.roles:
        yield from _role(access, role, role_file(role.arn))


def _provider(access: AWSAccess) -> Iterator[Finding]:
    asked = {
        value
        for role in access.roles
        for statement in _allowing(access, role)
        for condition in _conditions(statement)
        if condition.key.lower() == f"{access.host}:aud".lower()
        for value in condition.values
    }
    for i, client in enumerate((access.audience, *access.other_audiences)):
        if access.roles and client not in asked:
            yield CLIENT_UNUSED.at(
                f"{PROVIDER_FILE}:ClientIDList[{i}]", f"no role restricts its audience to {client!r}"
            )
    for i, thumbprint in enumerate(access.thumbprints):
        path = f"{PROVIDER_FILE}:ThumbprintList[{i}]"
        if re.fullmatch("[0-9A-Fa-f]{40}", thumbprint):
            yield THUMBPRINT_PINNED.at(path, f"{thumbprint} is pinned")
        else:
            yield THUMBPRINT.at(path, f"{thumbprint!r} is not 40 hexadecimal digits")


def _role(access: AWSAccess, role: Role, file: str) -> Iterator[Finding]:
    if role.max_session_seconds > LONG_SESSION:
        yield SESSION_LONG.at(f"{file}:MaxSessionDuration", f"a session may last {role.max_session_seconds} seconds")
    for i, policy in enumerate(role.managed_policies):
        if policy.endswith(":policy/AdministratorAccess"):
            yield ROLE_ADMIN.at(f"{file}:ManagedPolicyArns[{i}]", f"{policy} is attached")
    for i, statement in enumerate(statements(trust_policy(access, role))):
        if statement.get("Effect") == "Allow":
            yield from _statement(access, statement, f"{file}:{FIELD}.Statement[{i}]")


def _statement(access: AWSAccess, statement: Mapping[str, Any], path: str) -> Iterator[Finding]:
    for element in ("NotPrincipal", "NotAction"):
        if element in statement:
            yield NOT_ELEMENT.at(f"{path}.{element}", f"{element} is used")
    for action in as_list(statement.get("Action", [])):
        if set("*?") & set(str(action)):
            yield ACTION_STAR.at(f"{path}.Action", f"{action} is allowed")
    principal = statement.get("Principal")
    whom = principal.values() if isinstance(principal, Mapping) else [principal]
    named = [str(value) for one in whom for value in as_list(one)]
    if "*" in named:
        yield PRINCIPAL_STAR.at(f"{path}.Principal", "the principal is *")
    federated = [str(v) for v in as_list(principal.get("Federated", []))] if isinstance(principal, Mapping) else []
    if len([arn for arn in federated if ":oidc-provider/" in arn]) > 1:
        yield MIXED_ISSUER.at(f"{path}.Principal.Federated", f"{' and '.join(federated)} are trusted")
    if not isinstance(principal, Mapping) or access.provider_arn in federated or "*" in named:
        yield from _restrictions(access, _conditions(statement), f"{path}.Condition")


def _restrictions(access: AWSAccess, conditions: Sequence[_Condition], path: str) -> Iterator[Finding]:
    of: dict[str, list[_Condition]] = {"aud": [], "sub": []}
    for condition in conditions:
        prefix, _, claim = condition.key.rpartition(":")
        if claim not in of or not prefix or prefix.lower().startswith(("aws:", "sts:")):
            continue
        if prefix.lower() == access.host.lower():
            of[claim].append(condition)
        else:
            yield KEY_PREFIX.at(f"{path}.{condition.operator}", f"{condition.key} does not begin with {access.host}")
    for claim, missing in (("aud", NO_AUD), ("sub", NO_SUB)):
        constraining = [condition for condition in of[claim] if condition.constrains]
        if not of[claim]:
            yield missing.at(path, f"nothing restricts {access.host}:{claim}")
        elif not constraining:
            yield VACUOUS.at(f"{path}.{of[claim][0].operator}", f"{of[claim][0].operator} alone restricts {claim}")
    for condition in of["aud"]:
        yield from _audiences(access, condition, f"{path}.{condition.operator}")
    for condition in of["sub"]:
        own = _OF_OTHERS.fullmatch(access.host) is not None
        yield from (_others if own else _subjects)(condition, f"{path}.{condition.operator}")


def _audiences(access: AWSAccess, condition: _Condition, path: str) -> Iterator[Finding]:
    for value in condition.patterns:
        yield AUD_WILDCARD.at(path, f"every audience like {value} is taken")
    for value in condition.values:
        if value not in condition.patterns and value not in (access.audience, *access.other_audiences):
            yield AUD_UNREGISTERED.at(path, f"{value!r} is not in ClientIDList")


def _subjects(condition: _Condition, path: str) -> Iterator[Finding]:
    for value in condition.patterns:
        head, _, name = value.removeprefix("system:serviceaccount:").partition(":")
        wild = set("*?")
        if not value.startswith("system:serviceaccount:") or wild & set(head) or not name:
            yield SUB_CLUSTER.at(path, f"every subject like {value} is taken")
        elif name == "*":
            yield SUB_NAMESPACE.at(path, f"every service account of {head} is taken")
        else:
            yield SUB_WILDCARD.at(path, f"every subject like {value} is taken")
    if condition.base.startswith("StringEquals"):
        for value in condition.values:
            if not _SUBJECT.fullmatch(value):
                yield SUB_INVALID.at(path, f"{value!r} is no service account's subject")


def _others(condition: _Condition, path: str) -> Iterator[Finding]:
    """Subjects such as ``repo:OWNER/NAME:…``: whose they are stands before the first slash."""
    for value in condition.patterns:
        owner = re.split(r"[*?]", value, maxsplit=1)[0]
        yield (SUB_WILDCARD if "/" in owner else SUB_CLUSTER).at(path, f"every subject like {value} is taken")
    if condition.base.startswith("StringEquals"):
        for value in condition.values:
            if set("*?") & set(value):
                yield SUB_INVALID.at(path, f"{value!r} is compared as it stands")


def _allowing(access: AWSAccess, role: Role) -> list[Mapping[str, Any]]:
    return [statement for statement in statements(trust_policy(access, role)) if statement.get("Effect") == "Allow"]


def _conditions(statement: Mapping[str, Any]) -> list[_Condition]:
    block = statement.get("Condition")
    return [
        _Condition(str(operator), str(key), tuple(map(str, as_list(values))))
        for operator, keys in (block.items() if isinstance(block, Mapping) else ())
        if isinstance(keys, Mapping)
        for key, values in keys.items()
    ]
