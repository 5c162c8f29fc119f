"""RAM: OIDC identity providers and roles, as CreateOIDCProvider and CreateRole take them.

Bounds and alphabets are those of the vendor's API references (Ims 2019-08-15, Ram 2015-05-01).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_CLIENTS = 50
_PROVIDER = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")
_ISSUER = re.compile(r"https://[^?#@\s]{1,247}")
_ROLE = re.compile(r"[A-Za-z0-9.-]{1,64}")
_OPERATORS = frozenset(
    {"StringEquals", "StringNotEquals", "StringEqualsIgnoreCase", "StringNotEqualsIgnoreCase", "StringLike",
     "StringNotLike"}
)  # fmt: skip


class RAMError(Exception):
    """What the APIs refuse, by the vendor's code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


@dataclass(frozen=True)
class Provider:
    """One OIDC identity provider."""

    arn: str
    issuer: str
    clients: tuple[str, ...]


@dataclass(frozen=True)
class Role:
    """One role; ``longest`` in seconds."""

    arn: str
    name: str
    policy: Mapping[str, Any]
    longest: int


class RAM:
    """The state of one account; thread-safe."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._lock = threading.Lock()
        self._providers: dict[str, Provider] = {}
        self._roles: dict[str, Role] = {}

    def provider(self, arn: str) -> Provider | None:
        """The identity provider of this ARN."""
        with self._lock:
            return self._providers.get(arn)

    def role(self, arn: str) -> Role | None:
        """The role of this ARN; a name's case does not matter."""
        with self._lock:
            return self._roles.get(arn.lower())

    def create_provider(self, document: Mapping[str, Any]) -> None:
        """CreateOIDCProvider. Raises RAMError."""
        _known(document, {"OIDCProviderName", "IssuerUrl", "ClientIds", "Description"})
        name, issuer = str(document.get("OIDCProviderName", "")), str(document.get("IssuerUrl", ""))
        clients = tuple(client.strip() for client in str(document.get("ClientIds", "")).split(","))
        if not _PROVIDER.fullmatch(name):
            raise RAMError("InvalidParameter.OIDCProviderName", name)
        if not _ISSUER.fullmatch(issuer):
            raise RAMError("InvalidParameter.IssuerUrl", issuer)
        if len(clients) > MAX_CLIENTS or not all(_CLIENT.fullmatch(client) for client in clients):
            raise RAMError("InvalidParameter.ClientIds", str(clients))
        arn = f"acs:ram::{self._account}:oidc-provider/{name}"
        with self._lock:
            # "The issuer URL must be unique within an Alibaba Cloud account."
            if any(other.issuer == issuer and other.arn != arn for other in self._providers.values()):
                raise RAMError("EntityAlreadyExists.OIDCProvider.IssuerUrl", issuer)
            self._providers[arn] = Provider(arn, issuer, clients)

    def create_role(self, document: Mapping[str, Any]) -> None:
        """CreateRole. Raises RAMError."""
        _known(document, {"RoleName", "AssumeRolePolicyDocument", "MaxSessionDuration", "Description"})
        name, longest = str(document.get("RoleName", "")), document.get("MaxSessionDuration", 3600)
        if not _ROLE.fullmatch(name):
            raise RAMError("InvalidParameter.RoleName.InvalidChars", name)
        if not isinstance(longest, int) or not 3600 <= longest <= 43200:
            raise RAMError("InvalidParameter.MaxSessionDuration", str(longest))
        text = document.get("AssumeRolePolicyDocument")
        if not isinstance(text, str):
            raise RAMError("InvalidParameter.AssumeRolePolicyDocument", "a text is expected")
        arn = f"acs:ram::{self._account}:role/{name}"
        role = Role(arn, name, self._policy(text), longest)
        with self._lock:
            self._roles[arn.lower()] = role

    def load(self, files: Mapping[str, str]) -> None:
        """Replaces everything by rendered documents. Raises RAMError."""
        with self._lock:
            before, self._providers, self._roles = (self._providers, self._roles), {}, {}
        try:
            self.create_provider(json.loads(files["oidc-provider.json"]))
            for name in sorted(files):
                if name.startswith("role-") and name.endswith(".json"):
                    self.create_role(json.loads(files[name]))
        except Exception:
            with self._lock:
                self._providers, self._roles = before
            raise

    def _policy(self, text: str) -> Mapping[str, Any]:
        """A policy as RAM takes one with a federated principal. Raises RAMError."""
        malformed = "MalformedPolicyDocument"
        try:
            policy = json.loads(text)
            statements = policy["Statement"]
        except (ValueError, KeyError, TypeError):
            raise RAMError(malformed, "no policy") from None
        if policy.get("Version") != "1" or not isinstance(statements, list) or not statements:
            raise RAMError(malformed, "Version 1 and a list of statements are expected")
        for statement in statements:
            _known(statement, {"Action", "Condition", "Effect", "Principal"})
            if statement.get("Effect") not in ("Allow", "Deny") or "Action" not in statement:
                raise RAMError(malformed, "a statement needs Effect and Action")
            federated = (statement.get("Principal") or {}).get("Federated")
            if not isinstance(federated, list) or not all(self.provider(arn) for arn in federated):
                raise RAMError("EntityNotExist.OIDCProvider", str(federated))
            for operator, keys in (statement.get("Condition") or {}).items():
                if operator not in _OPERATORS:
                    raise RAMError(malformed, f"operator {operator}")
                if operator != "StringEquals" and {"oidc:iss", "oidc:aud"} & set(keys):
                    # "The conditional operator must be StringEquals" (Create a RAM role for a trusted IdP).
                    raise RAMError(malformed, f"{operator} with {', '.join(keys)}")
        return dict(policy)


def _known(document: Mapping[str, Any], members: set[str]) -> None:
    if unknown := sorted(set(document) - members):
        raise RAMError("InvalidParameter", f"unknown member {unknown[0]}")
