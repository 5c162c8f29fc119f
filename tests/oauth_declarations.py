"""Declarations for Keycloak and for OAuth token services."""

from __future__ import annotations

from typing import Any

from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from builders import binding, trust

STS = "https://sts.example/oauth2/token"
KEYCLOAK_AUDIENCE = "https://keycloak.example/realms/payments"


def keycloak_trust(name: str = "keycloak-prod", settings: dict[str, Any] | None = None, **spec: Any) -> FederationTrust:
    """A trust in a realm; ``settings`` replaces fields of its union member."""
    keycloak = {"address": "https://keycloak.example", "realm": "payments"}
    given = {
        "relyingParty": {"type": "Keycloak", "keycloak": keycloak | (settings or {})},
        "audience": None,
        "allow": [{"namespace": "payments", "serviceAccounts": ["reader"], "targets": ["payments-reader"]}],
    }
    return trust(name, **(given | spec))


def keycloak_binding(
    name: str = "api", namespace: str = "payments", client: str = "payments-reader", **spec: Any
) -> WorkloadBinding:
    """A binding to a client of the realm."""
    target = {"keycloak": {"client": client}}
    return binding(name, namespace, **({"trustRef": {"name": "keycloak-prod"}, "target": target} | spec))


# By profile: what of the trust it needs, and the targets `api` and `reports`.
PROFILES: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "TokenExchange": ({"tokenEndpoint": STS}, [{"audience": "https://api.example"}, {"scopes": ["reports"]}]),
    "JWTBearer": ({"tokenEndpoint": STS}, [{"clientID": "api", "scopes": ["read"]}, {}]),
    "ClientAssertion": ({"tokenEndpoint": STS}, [{"scopes": ["read"]}, {"resource": "https://reports.example/"}]),
    "TokenOnly": ({}, [{}, {}]),
    "Hydra": (
        {"tokenEndpoint": STS},
        [{"clientID": "api", "scopes": ["read", "write"]}, {"clientID": "reports", "scopes": ["reports"]}],
    ),
    "Anthropic": (
        {"organizationID": "org-1"},
        [
            {"ruleID": "fdrl_1", "serviceAccountID": "svac_1", "workspaceID": "wrkspc_1"},
            {"ruleID": "fdrl_2", "serviceAccountID": "svac_2"},
        ],
    ),
    "OpenAI": (
        {"identityProviderID": "idp_1"},
        [
            {"serviceAccountID": "sa_1", "projectID": "proj_1"},
            {"serviceAccountID": "sa_2", "projectID": "proj_1"},
        ],
    ),
    "Kernel": ({}, [{"ruleID": "rule_1"}, {"ruleID": "rule_2", "resource": "https://api.onkernel.com"}]),
}


def oauth_trust(
    profile: str = "TokenExchange", name: str = "sts-prod", settings: dict[str, Any] | None = None, **spec: Any
) -> FederationTrust:
    """A trust in a token service of a profile; ``settings`` replaces fields of its union member."""
    needs, targets = PROFILES[profile]
    named = [{"name": name, **target} for name, target in zip(("api", "reports"), targets, strict=True)]
    given = {
        "relyingParty": {
            "type": "OAuth", "oauth": {"profile": profile, "targets": named, **needs, **(settings or {})},
        },
        "audience": "https://api.example" if profile == "TokenOnly" else None,
        "allow": [{"namespace": "payments", "serviceAccounts": ["reader"], "targets": ["api"]}],
    }  # fmt: skip
    return trust(name, **(given | spec))


def oauth_binding(
    name: str = "api", namespace: str = "payments", identity: str = "api", **spec: Any
) -> WorkloadBinding:
    """A binding to a target of the trust."""
    given = {"trustRef": {"name": "sts-prod"}, "target": {"oauth": {"name": identity}}}
    return binding(name, namespace, **(given | spec))
