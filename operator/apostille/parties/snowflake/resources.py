"""The access as Terraform resources (snowflakedb/snowflake: service_user, authentication_policy)."""

from __future__ import annotations

from typing import Any

from apostille.parties import terraform
from apostille.parties.snowflake import documents
from apostille.parties.snowflake.documents import DEFAULT, Policy, SnowflakeAccess


def render(access: SnowflakeAccess) -> dict[str, str]:
    """Users with their default identity; named identities, which no resource has, as statements; the policy."""
    users, executed = {}, {}
    for user, identities in sorted(access.users.items()):
        users[terraform.name(user)] = {
            "name": user,
            "default_workload_identity": {
                "oidc": {
                    "issuer": identities[DEFAULT].issuer,
                    "subject": identities[DEFAULT].subject,
                    "oidc_audience_list": list(identities[DEFAULT].audiences),
                }
            },
        }
        for name, identity in identities.items():
            if name != DEFAULT:
                executed[terraform.name(f"{user}_{name}")] = {
                    "execute": documents.identity_statement(user, name, identity),
                    "revert": f"ALTER USER {user} REMOVE WORKLOAD IDENTITY {name}",
                    "depends_on": [f"snowflake_service_user.{terraform.name(user)}"],
                }
    resources: dict[str, dict[str, Any]] = {"snowflake_service_user": users, "snowflake_execute": executed}
    if access.policy.name:
        resources |= _policy(access.policy, list(users))
    return terraform.document({"snowflake": "snowflakedb/snowflake 2.13.0"}, resources)


def _policy(policy: Policy, users: list[str]) -> dict[str, dict[str, Any]]:
    database, schema, name = policy.name.split(".")
    made = {
        "database": database,
        "schema": schema,
        "name": name,
        "authentication_methods": list(policy.methods),
        "workload_identity_policy": {
            "allowed_providers": list(policy.providers),
            "allowed_oidc_issuers": list(policy.issuers),
        },
    }
    kind = "snowflake_authentication_policy"
    attached = {
        user: {
            "authentication_policy_name": terraform.reference(kind, "apostille", "fully_qualified_name"),
            "user_name": terraform.reference("snowflake_service_user", user, "name"),
        }
        for user in users
    }
    return {kind: {"apostille": made}, "snowflake_user_authentication_policy_attachment": attached}
