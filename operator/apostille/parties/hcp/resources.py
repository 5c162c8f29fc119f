"""The access as Terraform resources (hashicorp/hcp: iam_workload_identity_provider)."""

from __future__ import annotations

from apostille.parties import terraform
from apostille.parties.hcp.documents import HCPAccess


def render(access: HCPAccess) -> dict[str, str]:
    """One resource a provider."""
    providers = {
        terraform.name(name): {
            "name": document["name"],
            "service_principal": document["parent_resource_name"],
            "description": document["provider"]["description"],
            "conditional_access": document["provider"]["conditional_access"],
            "oidc": document["provider"]["oidc_config"],
        }
        for name, document in sorted(access.providers.items())
    }
    return terraform.document({"hcp": "hashicorp/hcp 0.75.0"}, {"hcp_iam_workload_identity_provider": providers})
