"""The access as Terraform resources (hashicorp/google: iam_workload_identity_pool, its provider, members)."""

from __future__ import annotations

from typing import Any

from apostille.parties import terraform
from apostille.parties.gcp.documents import ROLE, GCPAccess, members
from apostille.parties.gcp.settings import SERVICE_ACCOUNT

_POOL, _PROVIDER = "google_iam_workload_identity_pool", "google_iam_workload_identity_pool_provider"


def render(access: GCPAccess) -> dict[str, str]:
    """Pool, provider, members; to principals with direct access roles are granted elsewhere, by their names below."""
    _, project, _, _, _, pool = access.pool_name.split("/")
    provider = {
        "project": project,
        "workload_identity_pool_id": terraform.reference(_POOL, "cluster", "workload_identity_pool_id"),
        "workload_identity_pool_provider_id": access.provider_name.rpartition("/")[2],
        "disabled": bool(access.provider.get("disabled")),
        "attribute_mapping": dict(access.provider.get("attributeMapping") or {}),
        "attribute_condition": access.provider.get("attributeCondition", ""),
        "oidc": _oidc(access),
    }
    bound = {
        terraform.name(f"{email}/{member}"): {
            "service_account_id": f"projects/{_project(email)}/serviceAccounts/{email}",
            "role": ROLE,
            "member": member,
            "depends_on": [f"{_PROVIDER}.cluster"],
        }
        for email in sorted(access.service_accounts)
        for member, _ in members(access.service_accounts[email], (ROLE,))
    }
    return terraform.document(
        {"google": "hashicorp/google 4.71.0"},
        {
            _POOL: {"cluster": {"project": project, "workload_identity_pool_id": pool}},
            _PROVIDER: {"cluster": provider},
            "google_service_account_iam_member": bound,
        },
        {"direct_access": {"value": list(access.direct)}} if access.direct else {},
    )


def _project(email: str) -> str:
    match = SERVICE_ACCOUNT.fullmatch(email)
    return match["project"] if match is not None else "-"


def _oidc(access: GCPAccess) -> dict[str, Any]:
    made: dict[str, Any] = {"issuer_uri": access.oidc.get("issuerUri"), "allowed_audiences": list(access.audiences)}
    if access.oidc.get("jwksJson"):
        made["jwks_json"] = access.oidc["jwksJson"]
    return made
