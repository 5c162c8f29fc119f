"""AWS's side of the trust as documents: OIDC provider and role trust policies (cloud-trust §3.1, §3.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apostille.parties.aws.settings import ROLE_ARN

MAX_POLICY = 2048  # characters of a trust policy, the account's default quota AssumeRolePolicySizeQuota
ACTION = "sts:AssumeRoleWithWebIdentity"


@dataclass(frozen=True, slots=True)
class Role:
    """One role: who may assume it. ``policy`` is set when a foreign document was read, otherwise it is derived."""

    arn: str
    subjects: tuple[str, ...]
    max_session_seconds: int
    policy: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class AWSAccess:
    """One OIDC provider and the roles that trust it."""

    partition: str
    account_id: str
    issuer: str
    audience: str
    roles: tuple[Role, ...]

    @property
    def host(self) -> str:
        """The issuer without its scheme: the prefix of condition keys and the tail of the provider's ARN."""
        return self.issuer.removeprefix("https://")

    @property
    def provider_arn(self) -> str:
        """A trailing slash of the issuer is kept, as IAM keeps it."""
        return f"arn:{self.partition}:iam::{self.account_id}:oidc-provider/{self.host}"

    def role(self, arn: str) -> Role | None:
        """The role of this ARN, if it is part of the access."""
        return next((role for role in self.roles if role.arn == arn), None)

    def canonical(self) -> bytes:
        """The rendered documents, in one line each."""
        return json.dumps(render(self), sort_keys=True).encode()


def trust_policy(access: AWSAccess, role: Role) -> Mapping[str, Any]:
    """The minimal policy document: this provider, this audience, exactly these subjects."""
    if role.policy is not None:
        return role.policy
    subjects = list(role.subjects)
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": access.provider_arn},
                "Action": ACTION,
                "Condition": {
                    "StringEquals": {
                        f"{access.host}:aud": access.audience,
                        f"{access.host}:sub": subjects[0] if len(subjects) == 1 else subjects,
                    }
                },
            }
        ],
    }


def policy_size(access: AWSAccess, role: Role) -> int:
    """Characters of the policy as IAM counts them: without the spaces."""
    return len(json.dumps(trust_policy(access, role), separators=(",", ":")))


def role_name(arn: str) -> tuple[str, str]:
    """(path, name) of a role ARN. Raises ValueError when it is none."""
    if (match := ROLE_ARN.fullmatch(arn)) is None:
        raise ValueError(f"{arn!r} is not a role ARN")
    return match["path"], match["name"]


def render(access: AWSAccess) -> dict[str, str]:
    """Native documents, the inputs of CreateOpenIDConnectProvider and CreateRole, by file name."""
    files = {"oidc-provider.json": _text({"Url": access.issuer, "ClientIDList": [access.audience]})}
    for role in access.roles:
        path, name = role_name(role.arn)
        files[f"role-{name}.json"] = _text(
            {
                "RoleName": name,
                "Path": path,
                "AssumeRolePolicyDocument": trust_policy(access, role),
                "MaxSessionDuration": role.max_session_seconds,
            }
        )
    return files


def parse(files: Mapping[str, str]) -> AWSAccess:
    """Reads what ``render`` writes, also when somebody edited it. Raises ValueError naming the file."""
    try:
        provider = json.loads(files["oidc-provider.json"])
        issuer, audience = provider["Url"], provider["ClientIDList"][0]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"oidc-provider.json: needs Url and ClientIDList ({error!r})") from None
    host = issuer.removeprefix("https://")
    partition, account, roles = "aws", "", []
    for name in sorted(files):
        if not name.startswith("role-"):
            continue
        try:
            document = json.loads(files[name])
            policy = document["AssumeRolePolicyDocument"]
            policy = json.loads(policy) if isinstance(policy, str) else policy
            federated = policy["Statement"][0]["Principal"]["Federated"]
            _, partition, _, _, account, _ = federated.split(":", 5)
            arn = f"arn:{partition}:iam::{account}:role{document.get('Path', '/')}{document['RoleName']}"
            subjects = policy["Statement"][0].get("Condition", {}).get("StringEquals", {}).get(f"{host}:sub", ())
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError(f"{name}: not a role with a trust policy ({error!r})") from None
        exact = (subjects,) if isinstance(subjects, str) else tuple(subjects)
        roles.append(Role(arn, exact, document.get("MaxSessionDuration", 3600), policy))
    return AWSAccess(partition, account, issuer, audience, tuple(roles))


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"
