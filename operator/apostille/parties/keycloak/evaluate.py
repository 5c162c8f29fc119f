"""Who gets in: the judgement of Keycloak's token endpoint (26.7; observed of the server itself, order included)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apostille.parties.keycloak.documents import CLIENT, Document, KeycloakAccess
from apostille.parties.party import Acceptance, Claims, Verdict

FEDERATED = "federated-jwt"


def evaluate(access: KeycloakAccess, claims: Claims, target: str) -> Verdict:
    """Judges an assertion's claims: issuer, client by subject, audience, and of a grant the linked user."""
    alias = _provider(access, "kubernetes", claims.get("iss"))
    if alias is None:
        return Verdict(False, "IssuerUnknown")
    subject = claims.get("sub")
    known = [name for name, client in access.clients.items() if subject and credential(client) == (alias, subject)]
    if not known:
        return Verdict(False, "SubjectMismatch")
    if target not in access.clients:
        return Verdict(False, "TargetMissing")
    if len(known) > 1:
        return Verdict(False, "Misconfigured")  # one of them gets every token, nobody can say which
    if known != [target]:
        return Verdict(False, "SubjectMismatch")
    if audiences(claims) != [access.issuer]:
        return Verdict(False, "AudienceMismatch")
    client = access.clients[target]
    if grants(client):
        return _grant(access, client, claims)
    return Verdict(True) if client.get("serviceAccountsEnabled") else Verdict(False, "Misconfigured")


def acceptances(access: KeycloakAccess) -> Iterator[Acceptance]:
    """Every client, with every cluster that authenticates clients."""
    issuers = [
        str((provider.get("config") or {}).get("issuer", ""))
        for provider in access.providers.values()
        if provider.get("providerId") == "kubernetes"
    ]
    for name in access.clients:
        for issuer in issuers:
            yield Acceptance(f"{CLIENT}{name}.json", name, issuer, access.issuer)


def credential(client: Document) -> tuple[str, str] | None:
    """Alias and subject that authenticate a client; None where tokens do not."""
    found = _attributes(client)
    if not client.get("enabled", True) or client.get("clientAuthenticatorType") != FEDERATED:
        return None
    return str(found.get("jwt.credential.issuer", "")), str(found.get("jwt.credential.sub", ""))


def grants(client: Document) -> bool:
    """Whether assertions are its authorization grants."""
    return _attributes(client).get("oauth2.jwt.authorization.grant.enabled") == "true"


def linked(access: KeycloakAccess, alias: str, subject: object) -> Iterator[str]:
    """Users that a subject's tokens are grants of."""
    for name, user in access.users.items():
        for link in user.get("federatedIdentities") or ():
            if (link.get("identityProvider"), link.get("userId")) == (alias, subject) and user.get("enabled", True):
                yield name


def audiences(claims: Claims) -> list[Any]:
    """``aud`` as a list, whichever of its two forms it has (RFC 7519 §4.1.3)."""
    found = claims.get("aud")
    return list(found) if isinstance(found, list | tuple) else [found]


def _grant(access: KeycloakAccess, client: Document, claims: Claims) -> Verdict:
    alias = _provider(access, "jwt-authorization-grant", claims.get("iss"))
    if alias is None:
        return Verdict(False, "IssuerUnknown")
    config = access.providers[alias].get("config") or {}
    served = alias in str(_attributes(client).get("oauth2.jwt.authorization.grant.idp", "")).split(",")
    if not served or config.get("jwtAuthorizationGrantEnabled") != "true":
        return Verdict(False, "Misconfigured")
    return Verdict(True) if any(linked(access, alias, claims.get("sub"))) else Verdict(False, "SubjectMismatch")


def _provider(access: KeycloakAccess, kind: str, issuer: object) -> str | None:
    for alias, provider in access.providers.items():
        config = provider.get("config") or {}
        if provider.get("providerId") == kind and provider.get("enabled", True) and config.get("issuer") == issuer:
            return alias
    return None


def _attributes(client: Document) -> Document:
    found = client.get("attributes")
    return found if isinstance(found, dict) else {}
