"""Alibaba Cloud's own rules, over declarations and over documents of anybody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from apostille.model.finding import EnforcedIn, Finding, Rule, Severity
from apostille.model.identity import Issuer
from apostille.parties.alibaba.documents import (
    AUD,
    PROVIDER_FILE,
    SUB,
    AlibabaAccess,
    federated,
    policy_text,
    role_file,
    trust_policy,
)
from apostille.parties.alibaba.settings import ACCOUNT, REGIONS, ROLE_ARN
from apostille.parties.party import BindingView, TrustView
from apostille.parties.policy_grammar import FIELD, as_list, statements
from apostille.rules import issuers
from apostille.rules.catalogue import AUD_COMMON

DEFAULT_AUDIENCE = "sts.aliyuncs.com"
_LINT: tuple[EnforcedIn, ...] = ("status", "lint")

TARGET_FORM = Rule(
    "ALI101", "ALI-TARGET-FORM", Severity.BROKEN, "The target is not a role ARN",
    "Write acs:ram::ACCOUNT:role/NAME, for example acs:ram::1234567890123456:role/payments-reader",
    "RAM knows the role by its full ARN; anything else can never be assumed.",
)  # fmt: skip
TARGET_ACCOUNT = Rule(
    "ALI102", "ALI-TARGET-ACCOUNT", Severity.DENY, "The role belongs to another account",
    "Use a role of the trust's account, or declare a FederationTrust for the other account",
    "A role trusts identity providers of its own account; what is rendered for this trust does not exist in another.",
)  # fmt: skip
ACCOUNT_FORM = Rule(
    "ALI103", "ALI-ACCOUNT", Severity.BROKEN, "The account is not named by its number",
    "Write the account's id as the console shows it under Security Settings: digits alone, such as 1234567890123456",
    "ARNs hold the number. Neither an alias nor a default domain is known there.",
)  # fmt: skip
REGION = Rule(
    "ALI104", "ALI-REGION", Severity.BROKEN, "The region has no STS endpoint of its own",
    "Write the id of a region that has one, such as cn-hangzhou or eu-central-1",
    "SDKs make the host of STS from the region; one that is not there is never reached.",
)  # fmt: skip
AUD_FORM = Rule(
    "ALI105", "ALI-AUD-FORM", Severity.BROKEN, "RAM cannot hold this audience",
    "Use at most 128 letters, digits and the characters . - _ : /, beginning with a letter or digit",
    "An audience is a client id of the identity provider, and RAM takes no other ones (CreateOIDCProvider).",
)  # fmt: skip
SESSION = Rule(
    "ALI106", "ALI-SESSION", Severity.WARN, "Sessions may live longer than the ceiling",
    "Set ceilings.sessionSeconds to 3600",
    "SDKs ask for an hour and have no variable for less. Nothing ends a session before its time.",
)  # fmt: skip
ISSUER_FORM = Rule(
    "ALI201", "ALI-ISSUER", Severity.BROKEN, "RAM cannot hold this issuer URL",
    "Serve the cluster's issuer under an https URL without user, query or fragment, of at most 255 characters",
    "RAM takes an issuer in no other form (CreateOIDCProvider).",
)  # fmt: skip
ISSUER_PRIVATE = Rule(
    "ALI202", "X-ISSUER-PRIVATE", Severity.BROKEN, "Alibaba Cloud cannot reach the issuer",
    "Publish discovery document and keys under a public host, and set --service-account-issuer (and "
    "--service-account-jwks-uri) to it",
    "STS reads the issuer's discovery document and keys from the internet, and takes them from nowhere else.",
)  # fmt: skip
ROLE_NAME = Rule(
    "ALI203", "ALI-ROLE-NAME", Severity.BROKEN, "Two roles have the same name",
    "Bind only one of them: names of roles differ in more than case",
    "RAM holds one role of a name, whatever its case: one of the two documents would overwrite the other.",
    _LINT,
)  # fmt: skip
NO_AUD = Rule(
    "ALI301", "ALI-NO-AUD", Severity.DENY, "The trust policy takes every audience of the provider",
    "Add StringEquals on oidc:aud with the one audience of the trust",
    "A token for any of the provider's client ids is good here too: who receives one can be this role.",
    _LINT,
)  # fmt: skip
NO_SUB = Rule(
    "ALI302", "ALI-NO-SUB", Severity.DENY, "The trust policy takes every subject",
    "Add StringEquals on oidc:sub with the exact subjects: system:serviceaccount:NAMESPACE:NAME",
    "The console requires issuer and audience alone. Every service account of the cluster that asks for a token with "
    "the audience is this role.",
    _LINT,
)  # fmt: skip
PATTERN = Rule(
    "ALI303", "ALI-PATTERN", Severity.DENY, "Audience or subject is compared by a pattern",
    "Use StringEquals with the exact values",
    "A star stands for anything, colons included: for names that nobody thought of, in namespaces that others create.",
    _LINT,
)  # fmt: skip
VACUOUS = Rule(
    "ALI304", "ALI-VACUOUS-OP", Severity.DENY, "The condition says who is not meant",
    "Use StringEquals with the exact values",
    "A negated operator holds for everybody else, also for a token without the claim. Alone it restricts nothing.",
    _LINT,
)  # fmt: skip
PRINCIPAL = Rule(
    "ALI305", "ALI-PRINCIPAL", Severity.DENY, "The trust policy trusts more than the one identity provider",
    "Name the one OIDC provider's ARN as Principal.Federated, and write a statement for each further one",
    "oidc:sub is a text that every issuer may choose: a subject is only worth something together with its provider.",
    _LINT,
)  # fmt: skip
AUD_UNREGISTERED = Rule(
    "ALI306", "ALI-AUD-NOT-REGISTERED", Severity.BROKEN, "The provider does not accept the audience",
    "Add it to ClientIds of the identity provider, or correct it",
    "STS compares the audience with the provider's client ids before it looks at any policy.",
    _LINT,
)  # fmt: skip
POLICY_SIZE = Rule(
    "ALI307", "ALI-POLICY-SIZE", Severity.WARN, "The trust policy may be longer than RAM takes",
    "Spread the service accounts over several roles",
    "RAM refuses a trust policy that is too long (InvalidParameter.AssumeRolePolicyDocument.Length) and does not "
    "document how long that is. 2,048 characters were the bound of its other policies for long.",
    _LINT,
)  # fmt: skip
RULES: tuple[Rule, ...] = (
    TARGET_FORM, TARGET_ACCOUNT, ACCOUNT_FORM, REGION, AUD_FORM, SESSION, ISSUER_FORM, ISSUER_PRIVATE, ROLE_NAME,
    NO_AUD, NO_SUB, PATTERN, VACUOUS, PRINCIPAL, AUD_UNREGISTERED, POLICY_SIZE,
)  # fmt: skip

LIFE = 3600  # seconds that SDKs ask for (credentials-python, provider/oidc.py)
_MAX_ISSUER = 255  # characters (CreateOIDCProvider, IssuerUrl)
_MAX_POLICY = 2048
_CLIENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", re.ASCII)
_MEMBER = "spec.relyingParty.alibaba"


def declared(trust: TrustView) -> Iterator[Finding]:
    """Audience, account, region, session."""
    if trust.audience == DEFAULT_AUDIENCE:
        yield AUD_COMMON.at("spec.audience", f"{trust.audience} is what the vendor's own tools ask for")
    if _CLIENT_ID.fullmatch(trust.audience) is None:
        yield AUD_FORM.at("spec.audience", f"{trust.audience!r} cannot be a client id")
    if ACCOUNT.fullmatch(trust.settings.account_id) is None:
        yield ACCOUNT_FORM.at(f"{_MEMBER}.accountID", f"{trust.settings.account_id!r} is not an account's number")
    if trust.settings.region not in REGIONS:
        yield REGION.at(f"{_MEMBER}.region", f"{trust.settings.region!r} is not one")
    if trust.session_seconds < LIFE:
        yield SESSION.at("spec.ceilings.sessionSeconds", f"{trust.session_seconds} seconds cannot be asked for")


def target(trust: TrustView, value: str, path: str) -> Iterator[Finding]:
    """ALI-TARGET-FORM, ALI-TARGET-ACCOUNT."""
    if (match := ROLE_ARN.fullmatch(value)) is None:
        yield TARGET_FORM.at(path, f"{value!r} is not the ARN of a role")
    elif match["account"] != trust.settings.account_id:
        yield TARGET_ACCOUNT.at(
            path,
            f"{value} is a role of account {match['account']}, the trust {trust.name} is for "
            f"{trust.settings.account_id}",
        )


def issuer(found: Issuer, path: str) -> Iterator[Finding]:
    """ALI-ISSUER, X-ISSUER-PRIVATE."""
    if not issuers.is_plain(found.url) or len(found.url) > _MAX_ISSUER:
        yield ISSUER_FORM.at(path, f"the cluster's issuer is {found.url!r}")
    elif issuers.is_private(found.url):
        yield ISSUER_PRIVATE.at(path, f"the cluster's issuer is {found.url!r}, which is no public host")


def role_names(bindings: Iterable[BindingView], path: str) -> Iterator[Finding]:
    """ALI-ROLE-NAME, naming both roles."""
    known: dict[str, str] = {}
    for arn in sorted({binding.target.role_arn for binding in bindings}):
        other = known.setdefault(arn.lower(), arn)
        if other != arn:
            yield ROLE_NAME.at(path, f"{other} and {arn} are bound, and RAM cannot hold both")


def documents(access: AlibabaAccess) -> Iterator[Finding]:
    """What a provider and the roles that trust it let in beyond what was meant."""
    for role in access.roles:
        file = role_file(role.name)
        if (size := len(policy_text(access, role))) > _MAX_POLICY:
            yield POLICY_SIZE.at(f"{file}:{FIELD}", f"it has {size} characters")
        for i, statement in enumerate(statements(trust_policy(access, role))):
            if statement.get("Effect") == "Allow":
                yield from _statement(access, statement, f"{file}:{FIELD}.Statement[{i}]")


def _statement(access: AlibabaAccess, statement: Mapping[str, Any], path: str) -> Iterator[Finding]:
    trusted = federated(statement)
    if statement.get("Principal") == "*" or "*" in trusted or len(trusted) > 1:
        yield PRINCIPAL.at(f"{path}.Principal", f"{' and '.join(trusted) or '*'} is trusted")
    elif access.provider_arn not in trusted:
        return
    conditions = list(_conditions(statement))
    for key, missing in ((AUD, NO_AUD), (SUB, NO_SUB)):
        mine = [(operator, values) for operator, name, values in conditions if name.lower() == key]
        if not mine:
            yield missing.at(f"{path}.Condition", f"nothing restricts {key}")
        elif all(operator.startswith("StringNot") for operator, _ in mine):
            yield VACUOUS.at(f"{path}.Condition.{mine[0][0]}", f"{mine[0][0]} alone restricts {key}")
        for operator, values in mine:
            yield from _values(access, operator, key, values, f"{path}.Condition.{operator}")


def _values(access: AlibabaAccess, operator: str, key: str, values: Sequence[str], path: str) -> Iterator[Finding]:
    for value in values:
        if operator == "StringLike" and set("*?") & set(value):
            yield PATTERN.at(path, f"every {key} like {value} is taken")
        elif operator == "StringEquals" and key == AUD and value not in access.audiences:
            yield AUD_UNREGISTERED.at(path, f"{value!r} is not in ClientIds of {PROVIDER_FILE}")


def _conditions(statement: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str]]]:
    """(operator, key, values) of each line."""
    block = statement.get("Condition")
    for operator, keys in block.items() if isinstance(block, Mapping) else ():
        for key, values in keys.items() if isinstance(keys, Mapping) else ():
            yield str(operator), str(key), [str(value) for value in as_list(values)]
