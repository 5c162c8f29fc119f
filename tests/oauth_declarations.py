"""Declarations for Keycloak and for OAuth token services."""

from __future__ import annotations

from typing import Any

from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from builders import binding, trust

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
