"""The access as commands of the Databricks CLI (``databricks account service-principal-federation-policy``)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from apostille.parties import shell
from apostille.parties.databricks.documents import DatabricksAccess

_ABOUT = """Needs the Databricks CLI as an account administrator; DATABRICKS_HOST is the account console's URL.
Policies of subjects that are bound no longer stay: delete them by their ids."""
_CLI = ("databricks", "account", "service-principal-federation-policy")


def render(access: DatabricksAccess) -> dict[str, str]:
    """Each policy, made or brought to what it should be."""
    lines: list[str] = []
    for key in sorted(access.policies):
        document = access.policies[key]
        lines += _policy(str(document["service_principal_id"]), key[1], document)
    return shell.script(_ABOUT, lines, needs=("DATABRICKS_HOST", "DATABRICKS_ACCOUNT_ID"))


def _policy(principal: str, policy_id: str, document: Mapping[str, Any]) -> list[str]:
    body = {"description": document["description"], "oidc_policy": document["oidc_policy"]}
    text = json.dumps(body, separators=(",", ":"))
    return shell.ensure(
        (*_CLI, "get", principal, policy_id),
        [shell.run((*_CLI, "update", principal, policy_id, "--json", text))],
        [shell.run((*_CLI, "create", principal, "--policy-id", policy_id, "--json", text))],
    )
