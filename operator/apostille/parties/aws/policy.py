"""AWS's side of the trust as documents: OIDC provider and role trust policies (cloud-trust §3.1, §3.2)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apostille.parties import shape
from apostille.parties.aws.settings import ROLE_ARN
from apostille.parties.policy_grammar import FIELD, as_list, exact_subjects, statements

MAX_POLICY = 2048  # characters of a trust policy, the account's default quota AssumeRolePolicySizeQuota
ACTION = "sts:AssumeRoleWithWebIdentity"
PROVIDER_FILE = "oidc-provider.json"
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Role:
    """One role: who may assume it. ``policy`` is set when a foreign document was read, otherwise it is derived.

    ``managed_policies`` are ARNs of what a foreign document attaches to it; ours attach nothing.
    """

    arn: str
    subjects: tuple[str, ...]
    max_session_seconds: int
    policy: Mapping[str, Any] | None = None
    managed_policies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AWSAccess:
    """One OIDC provider and the roles that trust it.

    ``other_audiences`` are further client ids that a provider was found to accept, ``thumbprints`` certificates that it
    was found to pin; none are ever wanted.
    """

    partition: str
    account_id: str
    issuer: str
    audience: str
    roles: tuple[Role, ...]
    other_audiences: tuple[str, ...] = ()
    thumbprints: tuple[str, ...] = ()

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


def policy_text(access: AWSAccess, role: Role) -> str:
    """The policy in the fewest characters, which is also how IAM counts them: without the spaces."""
    return json.dumps(trust_policy(access, role), separators=(",", ":"))


def policy_size(access: AWSAccess, role: Role) -> int:
    """Characters of the policy as IAM counts them."""
    return len(policy_text(access, role))


def role_name(arn: str) -> tuple[str, str]:
    """(path, name) of a role ARN. Raises ValueError when it is none."""
    if (match := ROLE_ARN.fullmatch(arn)) is None:
        raise ValueError(f"{arn!r} is not a role ARN")
    return match["path"], match["name"]


def render(access: AWSAccess) -> dict[str, str]:
    """Native documents, the members of CreateOpenIDConnectProvider and CreateRole, by file name.

    The policy is a text, as the API and ``aws iam create-role --cli-input-json`` take it.
    """
    clients = [access.audience, *access.other_audiences]
    files = {PROVIDER_FILE: _text({"Url": access.issuer, "ClientIDList": clients})}
    for role in access.roles:
        path, name = role_name(role.arn)
        files[role_file(role.arn)] = _text(
            {
                "RoleName": name,
                "Path": path,
                FIELD: policy_text(access, role),
                "MaxSessionDuration": role.max_session_seconds,
            }
        )
    return files


def role_file(arn: str) -> str:
    """``role-NAME.json``; with a digest where path or name hold what a ConfigMap's key cannot, or could be confused."""
    path, name = role_name(arn)
    if path == "/" and _PLAIN.fullmatch(name):
        return f"role-{name}.json"
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", path + name).strip("-")[:128]
    return f"role-{readable}.{hashlib.sha256(arn.encode()).hexdigest()[:16]}.json"


_PROVIDER = {"Url": str, "ClientIDList": [str], "ThumbprintList": shape.TEXTS}
_ROLE = {
    "RoleName": str,
    "Path": str,
    FIELD: (str, {}),
    "MaxSessionDuration": int,
    "ManagedPolicyArns": shape.TEXTS,
}


def parse(files: Mapping[str, str]) -> AWSAccess:
    """Reads what ``render`` writes, also when somebody edited it. Raises ValueError naming the file.

    A role is taken to be in the account of the provider that it trusts: IAM knows no other way.
    """
    provider = shape.read(files, PROVIDER_FILE, _PROVIDER)
    if not provider.get("Url") or not provider.get("ClientIDList"):
        raise ValueError(f"{PROVIDER_FILE}: needs Url and ClientIDList")
    issuer, (audience, *others) = provider["Url"], provider["ClientIDList"]
    thumbprints = tuple(map(str, as_list(provider.get("ThumbprintList", []))))
    host = issuer.removeprefix("https://")
    documents = {name: _role_document(name, files[name]) for name in sorted(files) if name.startswith("role-")}
    trusted = [arn for _, policy in documents.values() for arn in providers(policy) if _tail(arn) == host]
    _, partition, _, _, account, _ = trusted[0].split(":", 5) if trusted else ("", "aws", "", "", "", "")
    roles = []
    for file, (document, policy) in documents.items():
        if not account:
            raise ValueError(f"{file}: its trust policy names no OIDC provider for {issuer}")
        arn = f"arn:{partition}:iam::{account}:role{document.get('Path', '/')}{document['RoleName']}"
        if ROLE_ARN.fullmatch(arn) is None:
            raise ValueError(f"{file}: {arn} is not a role")
        attached = tuple(map(str, as_list(document.get("ManagedPolicyArns", []))))
        session = document.get("MaxSessionDuration", 3600)
        roles.append(Role(arn, exact_subjects(policy, f"{host}:sub"), session, policy, attached))
    roles.sort(key=lambda role: role.arn)
    return AWSAccess(partition, account, issuer, audience, tuple(roles), tuple(others), thumbprints)


def _role_document(file: str, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(CreateRole's members, the trust policy in them)."""
    document = shape.read({file: text}, file, _ROLE)
    if not {"RoleName", FIELD} <= document.keys():
        raise ValueError(f"{file}: not a role with a trust policy")
    return document, shape.policy(document[FIELD], f"{file}:{FIELD}")


def providers(policy: Mapping[str, Any]) -> list[str]:
    """ARNs of the OIDC providers that a trust policy names."""
    principals = [statement.get("Principal") for statement in statements(policy)]
    named = [arn for p in principals if isinstance(p, Mapping) for arn in as_list(p.get("Federated", []))]
    return [arn for arn in named if isinstance(arn, str) and ":oidc-provider/" in arn and arn.count(":") >= 5]


def _tail(provider_arn: str) -> str:
    return provider_arn.split(":oidc-provider/", 1)[1]


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"
