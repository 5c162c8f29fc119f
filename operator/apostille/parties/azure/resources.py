"""The access as Terraform resources (hashicorp/azurerm, hashicorp/azuread: federated identity credentials)."""

from __future__ import annotations

from typing import Any

from apostille.parties import terraform
from apostille.parties.azure.documents import AzureAccess
from apostille.parties.azure.settings import APPLICATION

_MANAGED, _APPLICATION = "azurerm_federated_identity_credential", "azuread_application_federated_identity_credential"


def render(access: AzureAccess) -> dict[str, str]:
    """A resource each credential."""
    managed: dict[str, dict[str, Any]] = {}
    applications: dict[str, dict[str, Any]] = {}
    for client in sorted(access.identities):
        identity = access.identities[client]
        for one in identity.credentials:
            named = terraform.name(f"{client}/{one.name}")
            if APPLICATION.fullmatch(identity.resource):
                applications[named] = {
                    "application_id": identity.resource,
                    "display_name": one.name,
                    "issuer": one.issuer,
                    "subject": one.subject,
                    "audiences": list(one.audiences),
                }
            else:
                managed[named] = {
                    "user_assigned_identity_id": identity.resource,
                    "name": one.name,
                    "issuer": one.issuer,
                    "subject": one.subject,
                    "audience": list(one.audiences),
                }
    providers = {"azurerm": "hashicorp/azurerm 4.65.0"} if managed else {}
    providers |= {"azuread": "hashicorp/azuread 2.44.0"} if applications else {}
    return terraform.document(providers, {_MANAGED: managed, _APPLICATION: applications})
