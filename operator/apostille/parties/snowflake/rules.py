"""Snowflake's own rules (cloud-trust §19.6)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from apostille.model.finding import Finding, Rule, Severity
from apostille.model.identity import Issuer
from apostille.parties.party import BindingView, TrustView
from apostille.parties.snowflake.documents import POLICY_FILE, SnowflakeAccess
from apostille.parties.snowflake.evaluate import DEFAULT_AUDIENCE
from apostille.parties.snowflake.settings import IDENTIFIER, is_account
from apostille.rules import issuers

TARGET_FORM = Rule(
    "SNO101", "SNOW-TARGET-FORM", Severity.BROKEN, "The target is not the name of a user",
    "Write the user's name as SHOW USERS prints it: capitals, digits and _",
    "Snowflake turns a name that is not quoted into capitals. Two spellings would be one user.",
)  # fmt: skip
ACCOUNT = Rule(
    "SNO102", "SNOW-ACCOUNT", Severity.BROKEN, "The account is not an account's identifier",
    "Write ORGANISATION-ACCOUNT, such as acme-prod, without https://, slashes and .snowflakecomputing.com",
    "Drivers make the host name of the identifier. A URL or a host name in its place leads nowhere.",
)  # fmt: skip
AUD_DEFAULT = Rule(
    "SNO103", "SNOW-AUD-DEFAULT", Severity.DENY, "The audience is the same for every customer of Snowflake",
    "Name an audience of this trust's own, or leave it out: the account's URL is used then",
    "An identity without a list of audiences accepts snowflakecomputing.com, in every account. A token for it that was "
    "meant for another account is accepted in this one.",
)  # fmt: skip
NO_POLICY = Rule(
    "SNO104", "SNOW-NO-POLICY", Severity.WARN, "No authentication policy keeps the users to this issuer",
    "Name one in spec.relyingParty.snowflake.authenticationPolicy, as DATABASE.SCHEMA.NAME",
    "Whoever may alter a user could add a workload identity of an issuer of their own, or a password.",
)  # fmt: skip
USER = Rule(
    "SNO105", "SNOW-ADMIN", Severity.DENY, "The user is an administrator",
    "Bind a service user that has a role of its own with what the workload needs",
    "Whoever is let in as such a user may change who is let in.",
)  # fmt: skip
SUBJECT_LONG = Rule(
    "SNO106", "SNOW-SUBJECT-LONG", Severity.BROKEN, "The subject is longer than Snowflake takes",
    "Choose shorter names: system:serviceaccount:NAMESPACE:NAME may have at most 255 characters",
    "SUBJECT of a workload identity has at most 255 characters.",
)  # fmt: skip
ISSUER = Rule(
    "SNO201", "X-ISSUER-PRIVATE", Severity.BROKEN, "Snowflake cannot use this issuer",
    "Publish discovery document and keys under a public host, and set --service-account-issuer (and "
    "--service-account-jwks-uri) to it",
    "Snowflake reads the issuer's discovery document and keys from the internet, and takes them from nowhere else.",
)  # fmt: skip
SUBJECT_TWICE = Rule(
    "SNO202", "SNOW-SUBJECT-TWICE", Severity.BROKEN, "A service account is bound to two users",
    "Bind it to one of them: a workload identity is one user's",
    "Snowflake finds the user by issuer and subject; the second of the two statements would be refused.",
    ("status", "lint"),
)  # fmt: skip
NO_AUDIENCE = Rule(
    "SNO203", "SNOW-AUD-EMPTY", Severity.DENY, "The workload identity names no audience",
    "Set OIDC_AUDIENCE_LIST to the trust's",
    "It accepts snowflakecomputing.com then, which tokens for every account of Snowflake have.",
    ("status", "lint"),
)  # fmt: skip
PERSON = Rule(
    "SNO204", "SNOW-PERSON", Severity.DENY, "The user is not a service user",
    "Create it with TYPE = SERVICE",
    "A person's user may also log in with a password, and is somebody's.",
    ("status", "lint"),
)  # fmt: skip
OPEN_POLICY = Rule(
    "SNO205", "SNOW-POLICY-OPEN", Severity.WARN, "The authentication policy does not keep the users to one issuer",
    "Set AUTHENTICATION_METHODS to WORKLOAD_IDENTITY, ALLOWED_PROVIDERS to OIDC and ALLOWED_OIDC_ISSUERS to the issuer",
    "What a list of the policy does not name, or ALL, is allowed.",
    ("status", "lint"),
)  # fmt: skip
RULES: tuple[Rule, ...] = (
    TARGET_FORM, ACCOUNT, AUD_DEFAULT, NO_POLICY, USER, SUBJECT_LONG, ISSUER, SUBJECT_TWICE, NO_AUDIENCE, PERSON,
    OPEN_POLICY,
)  # fmt: skip

MAX_SUBJECT = 255
_ADMINISTRATORS = frozenset({"ACCOUNTADMIN", "SECURITYADMIN", "ORGADMIN", "SYSADMIN", "USERADMIN", "SNOWFLAKE"})


def target(value: str, path: str) -> Iterator[Finding]:
    """SNOW-TARGET-FORM, SNOW-ADMIN."""
    if re.fullmatch(IDENTIFIER, value) is None:
        yield TARGET_FORM.at(path, f"{value!r} is not such a name")
    elif value in _ADMINISTRATORS:
        yield USER.at(path, f"{value} is the name of an administrator")


def subject(value: str, path: str) -> Iterator[Finding]:
    """SNOW-SUBJECT-LONG."""
    if len(value) > MAX_SUBJECT:
        yield SUBJECT_LONG.at(path, f"{value!r} has {len(value)} characters")


def declared(trust: TrustView) -> Iterator[Finding]:
    """SNOW-ACCOUNT, SNOW-AUD-DEFAULT, SNOW-NO-POLICY."""
    member = "spec.relyingParty.snowflake"
    if trust.audience.lower() == DEFAULT_AUDIENCE:
        yield AUD_DEFAULT.at("spec.audience", f"{trust.audience} is accepted wherever no list is set")
    if not is_account(trust.settings.account):
        yield ACCOUNT.at(f"{member}.account", f"{trust.settings.account!r} is not one")
    if not trust.settings.authentication_policy:
        yield NO_POLICY.at(f"{member}.authenticationPolicy", "none is named")


def issuer(found: Issuer, path: str) -> Iterator[Finding]:
    """X-ISSUER-PRIVATE."""
    if why := issuers.unusable(found.url):
        yield ISSUER.at(path, f"the cluster's issuer is {found.url!r}, {why}")


def twice(bindings: Sequence[BindingView], path: str) -> Iterator[Finding]:
    """SNOW-SUBJECT-TWICE, naming the later binding."""
    known: dict[str, BindingView] = {}
    for binding in sorted(bindings, key=lambda one: (one.created, one.namespace, one.name)):
        for one in binding.subjects:
            first = known.setdefault(one, binding)
            if first.target.user != binding.target.user:
                yield SUBJECT_TWICE.at(
                    path,
                    f"WorkloadBinding {first.key} binds {one} to {first.target.user}, {binding.key} to "
                    f"{binding.target.user}",
                )


def documents(access: SnowflakeAccess) -> Iterator[Finding]:
    """What is too broad in scripts, whoever wrote them."""
    for user, identities in access.users.items():
        file = f"user-{user}.sql"
        if (kind := (access.kinds or {}).get(user, "SERVICE")) != "SERVICE":
            yield PERSON.at(f"{file}:TYPE", f"it is {kind}")
        for name, identity in identities.items():
            if not identity.audiences or DEFAULT_AUDIENCE in identity.audiences:
                yield NO_AUDIENCE.at(f"{file}:{name}", "the audience is every account's")
    policy = access.policy
    lists = ((policy.methods, "WORKLOAD_IDENTITY"), (policy.providers, "OIDC"))
    if policy.name and (
        not policy.issuers or "ALL" in policy.issuers or any(set(have) != {want} for have, want in lists)
    ):
        yield OPEN_POLICY.at(f"{POLICY_FILE}:{policy.name}", "a list of it is open")
