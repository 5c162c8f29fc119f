"""The access as Terraform resources (hashicorp/aws: iam_openid_connect_provider, iam_role)."""

from __future__ import annotations

from typing import Any

from apostille.parties import terraform
from apostille.parties.aws.policy import AWSAccess, Role, policy_text, role_name

_PROVIDER = "aws_iam_openid_connect_provider"


def render(access: AWSAccess) -> dict[str, str]:
    """One provider, and the roles, which are made after it."""
    provider = {"url": access.issuer, "client_id_list": [access.audience, *access.other_audiences]}
    roles = {terraform.name(role_name(role.arn)[1]): _role(access, role) for role in access.roles}
    resources = {_PROVIDER: {"cluster": provider}, "aws_iam_role": roles}
    return terraform.document({"aws": "hashicorp/aws 5.81.0"}, resources)


def _role(access: AWSAccess, role: Role) -> dict[str, Any]:
    path, name = role_name(role.arn)
    return {
        "name": name,
        "path": path,
        "assume_role_policy": policy_text(access, role),
        "max_session_duration": role.max_session_seconds,
        "depends_on": [f"{_PROVIDER}.cluster"],
    }
