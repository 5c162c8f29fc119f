"""RAM's side of the trust as documents: OIDC identity provider and role trust policies.

Members are those of CreateOIDCProvider (Ims 2019-08-15) and CreateRole (Ram 2015-05-01); the policy is the one that the
vendor's own tool for Kubernetes writes (RRSA).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apostille.parties import shape
from apostille.parties.alibaba.settings import ROLE_ARN
from apostille.parties.policy_grammar import FIELD, as_list, exact_subjects, statements

ACTION = "sts:AssumeRole"
PROVIDER_FILE = "oidc-provider.json"
AUD, ISS, SUB = "oidc:aud", "oidc:iss", "oidc:sub"


@dataclass(frozen=True, slots=True)
class Role:
    """One role: who may assume it. ``policy`` is set when a document was read, otherwise it is derived."""

    name: str
    subjects: tuple[str, ...]
    max_session_seconds: int
    policy: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class AlibabaAccess:
    """One identity provider and the roles that trust it. ``other_audiences`` are further client ids found at it."""

    account_id: str
    provider: str
    issuer: str
    audience: str
    roles: tuple[Role, ...]
    other_audiences: tuple[str, ...] = ()

    @property
    def provider_arn(self) -> str:
        """As policies name it."""
        return f"acs:ram::{self.account_id}:oidc-provider/{self.provider}"

    @property
    def audiences(self) -> tuple[str, ...]:
        """All that the provider accepts."""
        return (self.audience, *self.other_audiences)

    def role(self, arn: str) -> Role | None:
        """The role of this ARN, if it is part of the access."""
        match = ROLE_ARN.fullmatch(arn)
        if match is None or match["account"] != self.account_id:
            return None
        return next((role for role in self.roles if role.name == match["name"]), None)

    def canonical(self) -> bytes:
        """The rendered documents."""
        return json.dumps(render(self), sort_keys=True).encode()


def trust_policy(access: AlibabaAccess, role: Role) -> Mapping[str, Any]:
    """The minimal policy document: this provider, issuer and audience, exactly these subjects."""
    if role.policy is not None:
        return role.policy
    exact = {AUD: access.audience, ISS: access.issuer, SUB: list(role.subjects)}
    return {
        "Statement": [
            {
                "Action": ACTION,
                "Condition": {"StringEquals": exact},
                "Effect": "Allow",
                "Principal": {"Federated": [access.provider_arn]},
            }
        ],
        "Version": "1",
    }


def policy_text(access: AlibabaAccess, role: Role) -> str:
    """The policy in one line, as the API takes it."""
    return json.dumps(trust_policy(access, role), separators=(",", ":"))


def render(access: AlibabaAccess) -> dict[str, str]:
    """Native documents by file name."""
    provider = {
        "OIDCProviderName": access.provider,
        "IssuerUrl": access.issuer,
        "ClientIds": ",".join(access.audiences),
    }
    files = {PROVIDER_FILE: _text(provider)}
    for role in access.roles:
        files[role_file(role.name)] = _text(
            {
                "RoleName": role.name,
                FIELD: policy_text(access, role),
                "MaxSessionDuration": role.max_session_seconds,
            }
        )
    return files


def role_file(name: str) -> str:
    """A role's name has nothing in it that a ConfigMap's key has not."""
    return f"role-{name}.json"


_PROVIDER = {"OIDCProviderName": str, "IssuerUrl": str, "ClientIds": str}
_ROLE = {"RoleName": str, FIELD: (str, {}), "MaxSessionDuration": int}


def parse(files: Mapping[str, str]) -> AlibabaAccess:
    """Reads what ``render`` writes, also when somebody edited it. Raises ValueError naming the file.

    The account is the one of the provider that the roles trust.
    """
    provider = shape.read(files, PROVIDER_FILE, _PROVIDER)
    if missing := sorted(_PROVIDER.keys() - provider.keys()):
        raise ValueError(f"{PROVIDER_FILE}: needs {' and '.join(missing)}")
    name, issuer = provider["OIDCProviderName"], provider["IssuerUrl"]
    audience, *others = [client.strip() for client in provider["ClientIds"].split(",")]
    documents = {file: _role_document(file, files[file]) for file in sorted(files) if file.startswith("role-")}
    tail = f":oidc-provider/{name}"
    trusted = [arn for _, policy in documents.values() for arn in providers(policy) if arn.endswith(tail)]
    account = trusted[0].split(":")[3] if trusted else ""
    roles = []
    for file, (document, policy) in documents.items():
        if not account:
            raise ValueError(f"{file}: its trust policy does not name the identity provider {name}")
        if ROLE_ARN.fullmatch(f"acs:ram::{account}:role/{document['RoleName']}") is None:
            raise ValueError(f"{file}: {document['RoleName']!r} is not the name of a role")
        session = document.get("MaxSessionDuration", 3600)
        roles.append(Role(document["RoleName"], exact_subjects(policy, SUB), session, policy))
    roles.sort(key=lambda role: role.name)
    return AlibabaAccess(account, name, issuer, audience, tuple(roles), tuple(others))


def _role_document(file: str, text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """(CreateRole's members, the trust policy in them)."""
    document = shape.read({file: text}, file, _ROLE)
    if not {"RoleName", FIELD} <= document.keys():
        raise ValueError(f"{file}: not a role with a trust policy")
    return document, shape.policy(document[FIELD], f"{file}:{FIELD}")


def federated(statement: Mapping[str, Any]) -> list[str]:
    """Whom a statement trusts by federation."""
    principal = statement.get("Principal")
    return [str(arn) for arn in as_list(principal.get("Federated", []))] if isinstance(principal, Mapping) else []


def providers(policy: Mapping[str, Any]) -> list[str]:
    """ARNs of the OIDC providers that a trust policy names."""
    named = [arn for statement in statements(policy) for arn in federated(statement)]
    return [arn for arn in named if arn.startswith("acs:ram::") and ":oidc-provider/" in arn]


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"
