"""Keycloak's side of the trust as documents: bodies of its Admin REST API (cloud-trust §10.1, §10.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apostille.parties import shape

REALM = "realm.json"
PROVIDER, CLIENT, USER = "identity-provider-", "client-", "user-"
# The same cluster once more: a provider serves either clients or grants.
GRANTS = "-grants"

# Whoever verifies an access token by its signature alone takes it until it ends: it ends early, and is asked for anew.
_PARTS_OF_SESSION = 3

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class KeycloakAccess:
    """The documents themselves, by alias, client id and username; ``realm`` says where they belong."""

    realm: Document
    providers: Mapping[str, Document]
    clients: Mapping[str, Document]
    users: Mapping[str, Document] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        """The realm's issuer, the one audience that it accepts."""
        return str(self.realm.get("issuer", ""))

    @property
    def realm_name(self) -> str:
        """The realm's name."""
        return str(self.realm.get("realm", ""))

    def canonical(self) -> bytes:
        """The rendered documents."""
        return json.dumps(render(self), sort_keys=True).encode()


def realm(name: str, issuer: str) -> dict[str, Any]:
    """Where the other documents belong; nothing that is sent."""
    return {"realm": name, "issuer": issuer}


def provider(alias: str, issuer: str) -> dict[str, Any]:
    """The cluster, whose tokens authenticate clients."""
    return {
        "alias": alias,
        "providerId": "kubernetes",
        "enabled": True,
        "hideOnLogin": True,
        "config": {"issuer": issuer},
    }


def grants_provider(alias: str, issuer: str, assertion_seconds: int) -> dict[str, Any]:
    """The cluster, whose tokens are authorization grants."""
    return {
        "alias": alias + GRANTS,
        "providerId": "jwt-authorization-grant",
        "enabled": True,
        "hideOnLogin": True,
        "config": {
            "issuer": issuer,
            "useJwksUrl": "true",
            "jwksUrl": f"{issuer.rstrip('/')}/openid/v1/jwks",
            "jwtAuthorizationGrantEnabled": "true",
            # A pod has one token until the kubelet brings the next.
            "jwtAuthorizationGrantAssertionReuseAllowed": "true",
            "jwtAuthorizationGrantMaxAllowedAssertionExpiration": str(assertion_seconds),
        },
    }


def client(identity: str, subject: str, alias: str, session_seconds: int, *, grants: bool) -> dict[str, Any]:
    """A client that this subject's tokens authenticate, and nothing else does.

    A PUT leaves what it does not name as it is, so every switch that could let in more is named.
    """
    attributes = {
        "jwt.credential.issuer": alias,
        "jwt.credential.sub": subject,
        "access.token.lifespan": str(session_seconds // _PARTS_OF_SESSION),
        "oauth2.jwt.authorization.grant.enabled": "true" if grants else "false",
        "oauth2.device.authorization.grant.enabled": "false",
        "oidc.ciba.grant.enabled": "false",
    }
    if grants:
        attributes["oauth2.jwt.authorization.grant.idp"] = alias + GRANTS
    return {
        "clientId": identity,
        "enabled": True,
        "protocol": "openid-connect",
        "publicClient": False,
        "bearerOnly": False,
        "clientAuthenticatorType": "federated-jwt",
        "serviceAccountsEnabled": not grants,
        "standardFlowEnabled": False,
        "implicitFlowEnabled": False,
        "directAccessGrantsEnabled": False,
        # Otherwise its tokens carry every role that its account ever gets.
        "fullScopeAllowed": False,
        "attributes": attributes,
    }


def user(name: str, subject: str, alias: str) -> dict[str, Any]:
    """The user that this subject's tokens are grants of."""
    link = {"identityProvider": alias + GRANTS, "userId": subject, "userName": subject}
    return {"username": name, "enabled": True, "federatedIdentities": [link]}


def render(access: KeycloakAccess) -> dict[str, str]:
    """Native documents by file name: bodies of ``identity-provider/instances``, ``clients``, ``users`` of the realm."""
    return {REALM: _text(access.realm)} | {
        f"{prefix}{name}.json": _text(documents[name])
        for prefix, documents in ((PROVIDER, access.providers), (CLIENT, access.clients), (USER, access.users))
        for name in sorted(documents)
    }


_PROVIDER = {"alias": str, "providerId": str, "enabled": bool, "config": {"*": str}}
_CLIENT = {
    "clientId": str,
    "enabled": bool,
    "publicClient": bool,
    "serviceAccountsEnabled": bool,
    "fullScopeAllowed": bool,
    "clientAuthenticatorType": str,
    "attributes": {"*": str},
}
_USER = {
    "username": str,
    "enabled": bool,
    "federatedIdentities": [{"identityProvider": str, "userId": str, "userName": str}],
    "clientRoles": {"*": [str]},
}


def parse(files: Mapping[str, str]) -> KeycloakAccess:
    """Reads what ``render`` writes, also when somebody edited it. Raises ValueError naming the file."""

    def named(prefix: str, of: Any) -> dict[str, Document]:
        return {
            name.removeprefix(prefix).removesuffix(".json"): shape.read(files, name, of)
            for name in sorted(files)
            if name.startswith(prefix) and name.endswith(".json")
        }

    realm = shape.read(files, REALM, {"realm": str, "issuer": str})
    return KeycloakAccess(realm, named(PROVIDER, _PROVIDER), named(CLIENT, _CLIENT), named(USER, _USER))


def _text(document: Document) -> str:
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"
