"""The access as Terraform resources (keycloak/keycloak: kubernetes_identity_provider, openid_client, user)."""

from __future__ import annotations

from typing import Any

from apostille.parties import terraform
from apostille.parties.keycloak.documents import Document, KeycloakAccess

_PROVIDER = "keycloak_kubernetes_identity_provider"
# Attributes that have arguments of their own, which the provider refuses in extra_config. 5.8.0 has the grant's.
_TEXTS = {
    "access.token.lifespan": "access_token_lifespan",
    "oauth2.jwt.authorization.grant.idp": "oauth2_jwt_authorization_grant_idp",
}
_SWITCHES = {
    "oauth2.jwt.authorization.grant.enabled": "oauth2_jwt_authorization_grant_enabled",
    "oauth2.device.authorization.grant.enabled": "oauth2_device_authorization_grant_enabled",
}


def render(access: KeycloakAccess) -> dict[str, str]:
    """Provider, clients, users. The provider has no resource for JWT grants: that one document is applied natively."""
    realm = access.realm_name
    providers = {
        terraform.name(alias): {"realm": realm, "alias": alias, "issuer": provider["config"]["issuer"]}
        for alias, provider in sorted(access.providers.items())
        if provider.get("providerId") == "kubernetes"
    }
    clients = {terraform.name(name): _client(realm, client) for name, client in sorted(access.clients.items())}
    users = {terraform.name(name): _user(realm, user) for name, user in sorted(access.users.items())}
    return terraform.document(
        {"keycloak": "keycloak/keycloak 5.8.0"},
        {_PROVIDER: providers, "keycloak_openid_client": clients, "keycloak_user": users},
    )


def _client(realm: str, client: Document) -> dict[str, Any]:
    attributes = dict(client.get("attributes") or {})
    texts = {name: attributes.pop(key) for key, name in _TEXTS.items() if key in attributes}
    switches = {name: attributes.pop(key) == "true" for key, name in _SWITCHES.items() if key in attributes}
    return {
        "realm_id": realm,
        "client_id": client["clientId"],
        "enabled": client.get("enabled", True),
        "access_type": "CONFIDENTIAL",
        "client_authenticator_type": client["clientAuthenticatorType"],
        "service_accounts_enabled": client.get("serviceAccountsEnabled", False),
        "standard_flow_enabled": client.get("standardFlowEnabled", False),
        "implicit_flow_enabled": client.get("implicitFlowEnabled", False),
        "direct_access_grants_enabled": client.get("directAccessGrantsEnabled", False),
        "full_scope_allowed": client.get("fullScopeAllowed", False),
        **texts,
        **switches,
        "extra_config": attributes,
    }


def _user(realm: str, user: Document) -> dict[str, Any]:
    links = [
        {"identity_provider": link["identityProvider"], "user_id": link["userId"], "user_name": link["userName"]}
        for link in user.get("federatedIdentities") or ()
    ]
    return {"realm_id": realm, "username": user["username"], "enabled": user.get("enabled", True),
            "federated_identity": links}  # fmt: skip
