"""The access as Terraform resources (databricks/databricks: service_principal_federation_policy)."""

from __future__ import annotations

from apostille.parties import terraform
from apostille.parties.databricks.documents import DatabricksAccess


def render(access: DatabricksAccess) -> dict[str, str]:
    """One resource a policy; the provider is configured for the account by whoever applies it."""
    policies = {
        terraform.name(f"{policy_id}_{document['service_principal_id']}"): {
            "service_principal_id": document["service_principal_id"],
            "policy_id": policy_id,
            "description": document["description"],
            "oidc_policy": document["oidc_policy"],
        }
        for (_, policy_id), document in sorted(access.policies.items())
    }
    return terraform.document(
        {"databricks": "databricks/databricks 1.98.0"}, {"databricks_service_principal_federation_policy": policies}
    )
