"""Databricks' own rules (cloud-trust §19.6)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from apostille.model.finding import Finding, Rule, Severity
from apostille.model.identity import Issuer
from apostille.parties.databricks.documents import DatabricksAccess, file
from apostille.parties.databricks.settings import CLOUDS, UUID, is_workspace
from apostille.parties.party import TrustView
from apostille.rules import issuers

TARGET_FORM = Rule(
    "DBX101", "DBX-TARGET-FORM", Severity.BROKEN, "The target is not the application id of a service principal",
    "Write the UUID in lower case that Databricks shows as the service principal's application id",
    "Databricks knows a service principal by a number and by an application id. Clients present the application id.",
)  # fmt: skip
PRINCIPAL_UNKNOWN = Rule(
    "DBX102", "DBX-PRINCIPAL-UNKNOWN", Severity.BROKEN, "The trust does not describe the service principal",
    "Add it, with its number, to spec.relyingParty.databricks.servicePrincipals of the trust",
    "A federation policy is created under the service principal's number; without it nothing can be rendered.",
)  # fmt: skip
HOST = Rule(
    "DBX103", "DBX-HOST", Severity.DENY, "The host is not that of a workspace",
    "Write https://WORKSPACE as the browser shows it, without a path or a slash at its end, such as "
    "https://dbc-a1b2345c-d6e7.cloud.databricks.com",
    "Tokens of service accounts are sent there. Only hosts of Databricks itself may receive them, and SDKs append "
    "paths to the URL as it is written.",
)  # fmt: skip
PRINCIPAL_TWICE = Rule(
    "DBX104", "DBX-PRINCIPAL-TWICE", Severity.BROKEN, "A service principal is described twice",
    "Keep one entry for each application id and number",
    "It would depend on the order of the list under which number its policies are rendered.",
)  # fmt: skip
AUD_DEFAULT = Rule(
    "DBX105", "DBX-AUD-DEFAULT", Severity.WARN, "The audience is the account's id",
    "Name an audience of this trust's own, or leave it out: the workspace's URL is used then",
    "A federation policy without audiences accepts the id of the account. Every cluster and every tool that follows "
    "the vendor's default asks for tokens with it.",
)  # fmt: skip
SESSION = Rule(
    "DBX106", "DBX-SESSION", Severity.WARN, "Databricks' tokens may live longer than the ceiling",
    "Set ceilings.sessionSeconds to 3600, or ceilings.assertionSeconds as low as the tokens shall live",
    "Databricks takes no wish for the life of a token: it is an hour, and not beyond the end of the exchanged one. An "
    "SDK takes what it gets; the exchange sidecar refuses what is over the ceiling.",
)  # fmt: skip
ISSUER = Rule(
    "DBX201", "X-ISSUER-PRIVATE", Severity.BROKEN, "Databricks cannot use this issuer",
    "Publish discovery document and keys under a public host, and set --service-account-issuer (and "
    "--service-account-jwks-uri) to it",
    "Databricks reads the issuer's discovery document and keys from the internet.",
)  # fmt: skip
POLICIES = Rule(
    "DBX202", "DBX-POLICIES", Severity.BROKEN, "A service principal would have more policies than Databricks takes",
    "Bind some of the service accounts to another service principal",
    "Databricks holds at most 20 federation policies for a service principal, and each subject needs one.",
    ("status", "lint"),
)  # fmt: skip
NO_SUBJECT = Rule(
    "DBX203", "DBX-ACCOUNT-POLICY", Severity.DENY, "The policy does not say whose tokens it accepts",
    "Make it a policy of one service principal, with the exact subject",
    "A policy without a subject is one of the account: whoever's token has the name of a user or a service "
    "principal in it, is let in as such. Who can create service accounts could choose.",
    ("status", "lint"),
)  # fmt: skip
NO_AUDIENCE = Rule(
    "DBX204", "DBX-AUD-EMPTY", Severity.WARN, "The policy names no audience",
    "Set audiences to the trust's",
    "It accepts tokens for the account's id then, which are not meant for this trust.",
    ("status", "lint"),
)  # fmt: skip
SUBJECT_CLAIM = Rule(
    "DBX205", "DBX-SUBJECT-CLAIM", Severity.DENY, "The policy takes another claim than sub for the subject",
    "Remove subject_claim, or set it to sub",
    "Of a service account's token only sub says whose it is. Other claims hold names that many share.",
    ("status", "lint"),
)  # fmt: skip
RULES: tuple[Rule, ...] = (
    TARGET_FORM, PRINCIPAL_UNKNOWN, HOST, PRINCIPAL_TWICE, AUD_DEFAULT, SESSION, ISSUER, POLICIES, NO_SUBJECT,
    NO_AUDIENCE, SUBJECT_CLAIM,
)  # fmt: skip

MAX_POLICIES = 20  # of one service principal (docs: "Configure a service principal federation policy")
LIFE = 3600  # seconds of a token


def target(trust: TrustView, value: str, path: str) -> Iterator[Finding]:
    """DBX-TARGET-FORM, DBX-PRINCIPAL-UNKNOWN."""
    if re.fullmatch(UUID, value) is None:
        yield TARGET_FORM.at(path, f"{value!r} is not an application id")
    elif not trust.settings.number(value):
        yield PRINCIPAL_UNKNOWN.at(path, f"FederationTrust {trust.name} does not describe service principal {value}")


def declared(trust: TrustView) -> Iterator[Finding]:
    """DBX-HOST, DBX-PRINCIPAL-TWICE, DBX-AUD-DEFAULT, DBX-SESSION."""
    member = "spec.relyingParty.databricks"
    if trust.audience == trust.settings.account_id:
        yield AUD_DEFAULT.at("spec.audience", f"{trust.audience} is the account's id")
    if not is_workspace(trust.settings.host):
        hosts = ", ".join(f"*{suffix}" for suffix in CLOUDS)
        yield HOST.at(f"{member}.host", f"{trust.settings.host!r} is not the URL of a workspace ({hosts})")
    seen: set[str] = set()
    for i, one in enumerate(trust.settings.service_principals):
        for name in (one.application_id, one.id):
            if name in seen:
                yield PRINCIPAL_TWICE.at(f"{member}.servicePrincipals[{i}]", f"{name} is described before")
            seen.add(name)
    if trust.session_seconds < min(LIFE, trust.assertion_seconds):
        yield SESSION.at("spec.ceilings.sessionSeconds", f"{trust.session_seconds} seconds cannot be asked for")


def issuer(found: Issuer, path: str) -> Iterator[Finding]:
    """X-ISSUER-PRIVATE."""
    if why := issuers.unusable(found.url):
        yield ISSUER.at(path, f"the cluster's issuer is {found.url!r}, {why}")


def documents(access: DatabricksAccess) -> Iterator[Finding]:
    """What is too broad in policies, whoever wrote them."""
    for (application, policy_id), document in access.policies.items():
        path = f"{file(application, policy_id)}:oidc_policy"
        oidc = document["oidc_policy"]
        if not oidc.get("subject"):
            yield NO_SUBJECT.at(f"{path}.subject", "no subject is named")
        if not oidc.get("audiences"):
            yield NO_AUDIENCE.at(f"{path}.audiences", "no audience is named")
        if oidc.get("subject_claim", "sub") not in ("sub", "", None):
            yield SUBJECT_CLAIM.at(f"{path}.subject_claim", f"it is {oidc['subject_claim']!r}")
