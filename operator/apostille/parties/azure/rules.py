"""Entra's own rules (cloud-trust §19.4)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from apostille.model.finding import Finding, Rule, Severity
from apostille.model.identity import Issuer
from apostille.parties.azure.documents import AzureAccess
from apostille.parties.azure.settings import APPLICATION, MANAGED_IDENTITY, AzureTrust, is_uuid
from apostille.parties.party import TrustView
from apostille.rules import issuers
from apostille.rules.catalogue import AUD_COMMON

TARGET_FORM = Rule(
    "AZU101", "AZ-TARGET-FORM", Severity.BROKEN, "The trust has no such identity",
    "Name the clientID of one of spec.relyingParty.azure.identities, or describe it there",
    "Federated credentials belong to an identity's resource, which its client id does not tell.",
)  # fmt: skip
ID_FORM = Rule(
    "AZU102", "AZ-ID-FORM", Severity.BROKEN, "An id is not one of Entra's",
    "Write it as Entra shows it: 8-4-4-4-12 hexadecimal digits in lower case",
    "Tenants and identities are named by their ids; a name or a domain is not what the credential would be asked for.",
)  # fmt: skip
RESOURCE_FORM = Rule(
    "AZU103", "AZ-RESOURCE-FORM", Severity.BROKEN, "The identity's resource is none that has federated credentials",
    "Write /subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.ManagedIdentity/userAssignedIdentities/NAME, or "
    "/applications/OBJECTID with the application's object id",
    "A user-assigned managed identity has credentials of the resource manager's, an application those of Graph.",
)  # fmt: skip
IDENTITY_TWICE = Rule(
    "AZU104", "AZ-IDENTITY-TWICE", Severity.BROKEN, "An identity is described twice",
    "Keep one entry",
    "It would depend on the order of the list which of two resources gets the credentials.",
)  # fmt: skip
ISSUER_FORM = Rule(
    "AZU201", "AZ-ISSUER-MISMATCH", Severity.BROKEN, "Entra cannot use this issuer URL",
    "Serve the cluster's issuer under an https URL without query or fragment, of at most 600 characters",
    "A federated credential takes an issuer only as an https URL, and compares it byte for byte, a trailing slash too.",
)  # fmt: skip
ISSUER_PRIVATE = Rule(
    "AZU202", "X-ISSUER-PRIVATE", Severity.BROKEN, "Entra cannot reach the issuer",
    "Publish discovery document and keys under a public host, and set --service-account-issuer (and "
    "--service-account-jwks-uri) to it",
    "Entra fetches the issuer's discovery document and keys from the internet. It has no other way to learn them.",
)  # fmt: skip
ALG = Rule(
    "AZU203", "AZ-ALG", Severity.BROKEN, "Entra does not take the cluster's signatures",
    "Let the API server sign with RSA keys (--service-account-signing-key-file)",
    "Of external issuers Entra takes tokens that are signed with RS256 alone.",
)  # fmt: skip
FIC_LIMIT = Rule(
    "AZU204", "AZ-FIC-LIMIT", Severity.BROKEN, "The identity would have more federated credentials than Entra takes",
    "Spread the service accounts over several identities, or let workloads share one service account",
    "An identity has at most 20 federated credentials, one for each cluster and service account. Those that other "
    "clusters and tools have made on it count too, and are not seen here.",
    ("status", "lint"),
)  # fmt: skip
SESSION = Rule(
    "AZU205", "AZ-SESSION", Severity.WARN, "Entra does not keep the ceiling of a credential's life",
    "Take it as 90 minutes for applications and 24 hours for managed identities, and set spec.ceilings.sessionSeconds "
    "to no less",
    "Nobody can ask Entra for shorter tokens: those of applications live 60 to 90 minutes, those of managed identities "
    "up to 24 hours. They are good until then, whatever happens to the binding.",
)  # fmt: skip
AUD_COUNT = Rule(
    "AZU206", "AZ-AUD-COUNT", Severity.BROKEN, "A credential has not exactly one audience",
    "Name the one audience of the trust",
    "Entra takes exactly one audience in a federated credential.",
    ("status", "lint"),
)  # fmt: skip
SUB_WILDCARD = Rule(
    "AZU207", "AZ-SUB-WILDCARD", Severity.BROKEN, "A credential's subject is a pattern",
    "Write the exact subject: system:serviceaccount:NAMESPACE:NAME",
    "Entra compares subjects exactly: a star stands for itself, and nobody is called so.",
    ("status", "lint"),
)  # fmt: skip
FIC_DUP = Rule(
    "AZU208", "AZ-FIC-DUP", Severity.BROKEN, "Two credentials of an identity have the same issuer and subject",
    "Keep one of them",
    "Issuer and subject together are unique on an identity; the second credential would be refused.",
    ("status", "lint"),
)  # fmt: skip
NAME = Rule(
    "AZU209", "AZ-NAME", Severity.BROKEN, "A credential cannot be called so",
    "Use 3 to 120 letters, digits, - and _, beginning with a letter or digit",
    "Entra takes no other names, and the vendor's tools do not check them before they send them.",
    ("status", "lint"),
)  # fmt: skip
FLEX = Rule(
    "AZU210", "AZ-FLEX", Severity.BROKEN, "A credential has an expression in place of a subject",
    "Write the exact subject: expressions are for GitHub, GitLab and Terraform Cloud only",
    "Flexible credentials are not there for issuers such as a Kubernetes cluster.",
    ("status", "lint"),
)  # fmt: skip
RULES: tuple[Rule, ...] = (
    TARGET_FORM, ID_FORM, RESOURCE_FORM, IDENTITY_TWICE, ISSUER_FORM, ISSUER_PRIVATE, ALG, FIC_LIMIT, SESSION,
    AUD_COUNT, SUB_WILDCARD, FIC_DUP, NAME, FLEX,
)  # fmt: skip

MAX_CREDENTIALS = 20  # of one application or managed identity (cloud-trust §5.2)
APPLICATION_SECONDS, MANAGED_SECONDS = 5400, 86400  # longest lives of their tokens (cloud-trust §1.4)
_MAX_ISSUER = 600
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,119}")


def audience(trust: TrustView, path: str) -> Iterator[Finding]:
    """The warning on the vendor's shared default."""
    if trust.audience.startswith("api://AzureADTokenExchange"):
        yield AUD_COMMON.at(path, f"{trust.audience} is what every federated credential of every tenant accepts")


def settings(given: AzureTrust, path: str) -> Iterator[Finding]:
    """AZ-ID-FORM, AZ-RESOURCE-FORM, AZ-IDENTITY-TWICE."""
    if not is_uuid(given.tenant_id):
        yield ID_FORM.at(f"{path}.tenantID", f"{given.tenant_id!r} is not a tenant's id")
    seen: set[str] = set()
    for i, one in enumerate(given.identities):
        where = f"{path}.identities[{i}]"
        if not is_uuid(one.client_id):
            yield ID_FORM.at(f"{where}.clientID", f"{one.client_id!r} is not a client id")
        if not MANAGED_IDENTITY.fullmatch(one.resource) and not APPLICATION.fullmatch(one.resource):
            yield RESOURCE_FORM.at(f"{where}.resource", f"{one.resource!r} is neither")
        if one.client_id in seen:
            yield IDENTITY_TWICE.at(f"{where}.clientID", f"{one.client_id} was described before")
        seen.add(one.client_id)


def session(trust: TrustView, path: str) -> Iterator[Finding]:
    """AZ-SESSION, for the longest of the trust's identities."""
    managed = [one for one in trust.settings.identities if not one.is_application]
    longest = MANAGED_SECONDS if managed else APPLICATION_SECONDS
    if trust.session_seconds < longest and not (managed and trust.session_seconds >= 43200):
        yield SESSION.at(path, f"{trust.session_seconds} seconds is less than the {longest} that tokens may live")


def target(trust: TrustView, value: str, path: str) -> Iterator[Finding]:
    """AZ-TARGET-FORM."""
    if trust.settings.identity(value) is None:
        known = ", ".join(sorted(one.client_id for one in trust.settings.identities))
        yield TARGET_FORM.at(path, f"{value!r} is not an identity of trust {trust.name} (there are {known})")


def issuer(found: Issuer, path: str) -> Iterator[Finding]:
    """AZ-ISSUER-MISMATCH, X-ISSUER-PRIVATE, AZ-ALG."""
    if not issuers.is_plain(found.url) or len(found.url) > _MAX_ISSUER:
        yield ISSUER_FORM.at(path, f"the cluster's issuer is {found.url!r}")
    elif issuers.is_private(found.url):
        yield ISSUER_PRIVATE.at(path, f"the cluster's issuer is {found.url!r}, which is no public host")
    if other := sorted(set(found.algorithms) - {"RS256"}):
        yield ALG.at(path, f"the cluster signs with {', '.join(other)}")


def judged(access: AzureAccess) -> Iterator[Finding]:
    """Rules on documents, ours or anybody's; paths are ``identity-CLIENT.json:NAME``."""
    for client, identity in access.identities.items():
        seen: dict[tuple[str, str], str] = {}
        for one in identity.credentials:
            where = f"identity-{client}.json:{one.name}"
            if len(one.audiences) != 1:
                yield AUD_COUNT.at(where, f"it has {len(one.audiences)} audiences")
            if one.flexible:
                yield FLEX.at(where, f"{one.flexible!r} stands in place of a subject")
            elif any(c in one.subject for c in "*?"):
                yield SUB_WILDCARD.at(where, f"{one.subject!r} is a pattern")
            if not _NAME.fullmatch(one.name):
                yield NAME.at(where, f"{one.name!r} is not such a name")
            other = seen.setdefault((one.issuer, one.subject), one.name)
            if other != one.name:
                yield FIC_DUP.at(where, f"{other} has the same issuer and subject")
