"""The access as Terraform resources (aliyun/alicloud: ims_oidc_provider, ram_role)."""

from __future__ import annotations

from typing import Any

from apostille.parties import terraform
from apostille.parties.alibaba.documents import AlibabaAccess, Role, policy_text

_PROVIDER = "alicloud_ims_oidc_provider"


def render(access: AlibabaAccess) -> dict[str, str]:
    """One identity provider, and the roles, which are made after it."""
    provider = {
        "oidc_provider_name": access.provider,
        "issuer_url": access.issuer,
        "client_ids": list(access.audiences),
    }
    roles = {terraform.name(role.name): _role(access, role) for role in access.roles}
    return terraform.document(
        {"alicloud": "aliyun/alicloud 1.252.0"}, {_PROVIDER: {"cluster": provider}, "alicloud_ram_role": roles}
    )


def _role(access: AlibabaAccess, role: Role) -> dict[str, Any]:
    return {
        "role_name": role.name,
        "assume_role_policy_document": policy_text(access, role),
        "max_session_duration": role.max_session_seconds,
        "depends_on": [f"{_PROVIDER}.cluster"],
    }
