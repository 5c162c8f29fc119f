"""The access as Terraform resources (hashicorp/vault: jwt_auth_backend, jwt_auth_backend_role)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apostille.parties import terraform
from apostille.parties.vault.documents import VaultAccess
from apostille.parties.vault.evaluate import strings

_BACKEND = "vault_jwt_auth_backend"
# What Vault calls so, and the provider sets by itself or does not have.
_LEFT_OUT = ("bound_claims", "not_before_leeway", "expiration_leeway", "clock_skew_leeway")


def render(access: VaultAccess) -> dict[str, str]:
    """The auth method with its configuration, and its roles."""
    space = {"namespace": access.namespace} if access.namespace else {}
    backend = {"path": access.mount, "type": "jwt", **_filled(access.config), **space}
    roles = {
        terraform.name(name): {
            "backend": terraform.reference(_BACKEND, "cluster", "path"),
            "role_name": name,
            **_role(access.roles[name]),
            **space,
        }
        for name in sorted(access.roles)
    }
    return terraform.document(
        {"vault": "hashicorp/vault 3.8.0"}, {_BACKEND: {"cluster": backend}, "vault_jwt_auth_backend_role": roles}
    )


def _role(role: Mapping[str, Any]) -> dict[str, Any]:
    made = _filled({key: value for key, value in role.items() if key not in _LEFT_OUT})
    if claims := role.get("bound_claims"):
        # A map of texts, in which commas divide (the provider's own form).
        made["bound_claims"] = {claim: ",".join(strings(values)) for claim, values in claims.items()}
    return made


def _filled(document: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is empty: a resource owns all its arguments, and those that it does not name are the default."""
    return {key: value for key, value in document.items() if value not in ("", 0, False, [], {})}
