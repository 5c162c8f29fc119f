"""Databricks' side of the trust as documents: one federation policy for each subject of a service principal."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apostille.parties import shape

_NAME = re.compile(r"accounts/(?P<account>[0-9a-f-]{36})/servicePrincipals/[0-9]+/federationPolicies/.+")
_FILE = re.compile(r"policy-(?P<application>[0-9a-f-]{36})\.(?P<policy>[a-z0-9-]+)\.json")


@dataclass(frozen=True, slots=True)
class DatabricksAccess:
    """``policies``: the documents themselves, by application id and policy id.

    ``account_id`` is what a policy without audiences accepts as one; documents tell it by the names of the policies.
    """

    policies: Mapping[tuple[str, str], Mapping[str, Any]]
    account_id: str = ""

    def canonical(self) -> bytes:
        """The rendered documents."""
        return json.dumps(render(self), sort_keys=True).encode()


def policy(account: str, principal: str, issuer: str, audience: str, subject: str) -> tuple[str, dict[str, Any]]:
    """Policy id, and the policy as the account API shows it: this issuer, this audience, exactly this subject."""
    key = hashlib.sha256("\n".join((issuer, audience, subject)).encode()).hexdigest()[:10]
    who = subject.removeprefix("system:serviceaccount:").replace(":", "/")
    # At most 63 lower-case letters, digits and dashes.
    readable = re.sub(r"[^a-z0-9]+", "-", who)[:48].strip("-")
    policy_id = f"{readable}-{key}"
    return policy_id, {
        "name": f"accounts/{account}/servicePrincipals/{principal}/federationPolicies/{policy_id}",
        "policy_id": policy_id,
        "service_principal_id": int(principal),
        "description": f"Apostille: service account {who}"[:255],
        "oidc_policy": {"issuer": issuer, "audiences": [audience], "subject": subject, "subject_claim": "sub"},
    }


def file(application: str, policy_id: str) -> str:
    """The document of a policy."""
    return f"policy-{application}.{policy_id}.json"


def render(access: DatabricksAccess) -> dict[str, str]:
    """Native documents by file name: FederationPolicy objects of the account API."""
    return {
        file(application, policy_id): json.dumps(access.policies[application, policy_id], indent=2) + "\n"
        for application, policy_id in sorted(access.policies)
    }


_POLICY = {
    "name": str,
    "policy_id": str,
    "service_principal_id": (int, str),
    "description": str,
    "oidc_policy": {"issuer": str, "audiences": shape.TEXTS, "subject": str, "subject_claim": str},
}


def parse(files: Mapping[str, str]) -> DatabricksAccess:
    """Reads what ``render`` writes, also when somebody edited it. Raises ValueError naming the file."""
    policies: dict[tuple[str, str], Mapping[str, Any]] = {}
    for name in sorted(files):
        if not name.startswith("policy-") or not name.endswith(".json"):
            continue
        if (match := _FILE.fullmatch(name)) is None:
            raise ValueError(f"{name}: a policy's file is policy-APPLICATION.POLICY.json")
        document = shape.read(files, name, _POLICY)
        if "oidc_policy" not in document:
            raise ValueError(f"{name}: must be an object with oidc_policy")
        policies[match["application"], match["policy"]] = document
    names = [_NAME.fullmatch(str(document.get("name", ""))) for document in policies.values()]
    accounts = sorted({match["account"] for match in names if match is not None})
    if len(accounts) > 1:
        raise ValueError(f"the policies are of several accounts: {', '.join(accounts)}")
    return DatabricksAccess(policies, accounts[0] if accounts else "")
