"""Users, workload identities and authentication policies of one account (cloud-trust §8; Snowflake SQL reference)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from apostille_testbed.parties.snowflake.sql import SQLError, Statement, statements

__all__ = ["Account", "Identity", "Policy", "SQLError", "User"]

# "If you don't specify the list, the default is snowflakecomputing.com" (CREATE USER, OIDC_AUDIENCE_LIST).
DEFAULT_AUDIENCES = ("snowflakecomputing.com",)
_IDENTITY = frozenset({"TYPE", "ISSUER", "SUBJECT", "OIDC_AUDIENCE_LIST"})


@dataclass(frozen=True)
class Identity:
    """One workload identity of type OIDC."""

    issuer: str
    subject: str
    audiences: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """An authentication policy, as far as it speaks of workload identities."""

    methods: frozenset[str]
    providers: frozenset[str]
    issuers: frozenset[str]


@dataclass(frozen=True)
class User:
    """A user; ``type`` is SERVICE for those that may have workload identities only."""

    name: str
    type: str = "PERSON"
    identities: Mapping[str, Identity] = field(default_factory=dict)
    policy: str = ""


class Account:
    """State by the SQL that ran; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.users: dict[str, User] = {}
        self.policies: dict[str, Policy] = {}

    def find(self, issuer: str, subject: str) -> tuple[User, Identity] | None:
        """The user that has this workload identity: one identity is one user's."""
        with self._lock:
            for user in self.users.values():
                for identity in user.identities.values():
                    if (identity.issuer, identity.subject) == (issuer, subject):
                        return user, identity
        return None

    def execute(self, script: str) -> None:
        """Runs a script; all of it or nothing. Raises SQLError."""
        with self._lock:
            before = dict(self.users), dict(self.policies)
            try:
                for statement in statements(script):
                    self._run(statement)
            except SQLError:
                self.users, self.policies = before
                raise

    def load(self, files: Mapping[str, str]) -> None:
        """Runs rendered scripts, ``*.sql``, in order, on an account without any user. Raises SQLError."""
        fresh = Account()
        for name in sorted(files):
            if name.endswith(".sql"):
                fresh.execute(files[name])
        with self._lock:
            self.users, self.policies = fresh.users, fresh.policies

    def load_directory(self, folder: Path) -> None:
        """`load` of a folder's files."""
        self.load({file.name: file.read_text() for file in folder.iterdir() if file.is_file()})

    def _run(self, statement: Statement) -> None:
        match statement.verb:
            case ("CREATE", "USER", "IF", "NOT", "EXISTS", name):
                if name not in self.users:
                    self._create(name, statement.properties)
            case ("CREATE", "USER", name):
                if name in self.users:
                    raise SQLError(f"object {name!r} already exists")
                self._create(name, statement.properties)
            case ("ALTER", "USER", name, "SET"):
                self._set(self._user(name), statement.properties)
            case ("ALTER", "USER", name, "ADD", "WORKLOAD", "IDENTITY", identity):
                # The name DEFAULT is reserved (ALTER USER … ADD WORKLOAD IDENTITY).
                if identity == "DEFAULT" or identity in self._user(name).identities:
                    raise SQLError(f"workload identity {identity!r} is reserved or exists")
                self._identity(self._user(name), identity, statement.properties)
            case ("ALTER", "USER", name, "SET", "AUTHENTICATION", "POLICY", policy, "FORCE"):
                if policy not in self.policies or statement.properties:
                    raise SQLError(f"authentication policy {policy!r} does not exist")
                self.users[name] = replace(self._user(name), policy=policy)
            case ("CREATE", "AUTHENTICATION", "POLICY", "IF", "NOT", "EXISTS", name):
                if name not in self.policies:
                    self._policy(name, statement.properties)
            case ("ALTER", "AUTHENTICATION", "POLICY", name, "SET"):
                if name not in self.policies:
                    raise SQLError(f"authentication policy {name!r} does not exist")
                self._policy(name, statement.properties)
            case _:
                raise SQLError(f"this party does not run {' '.join(statement.verb)}")

    def _create(self, name: str, properties: dict[str, Any]) -> None:
        kind = str(properties.pop("TYPE", "PERSON"))
        if kind not in ("PERSON", "SERVICE", "LEGACY_SERVICE"):
            raise SQLError(f"invalid value {kind!r} for property TYPE")
        self.users[name] = User(name, kind)
        self._set(self.users[name], properties)

    def _user(self, name: str) -> User:
        if name not in self.users:
            raise SQLError(f"user {name!r} does not exist or not authorized")
        return self.users[name]

    def _set(self, user: User, properties: dict[str, Any]) -> None:
        if unknown := sorted(set(properties) - {"WORKLOAD_IDENTITY", "COMMENT"}):
            raise SQLError(f"invalid property {unknown[0]!r}")
        if (identity := properties.get("WORKLOAD_IDENTITY")) is not None:
            if not isinstance(identity, dict):
                raise SQLError("WORKLOAD_IDENTITY is not a list of properties")
            self._identity(user, "DEFAULT", identity)

    def _identity(self, user: User, name: str, properties: dict[str, Any]) -> None:
        # "You can use this property only when the type of the user is SERVICE" (CREATE USER, WORKLOAD_IDENTITY).
        if user.type != "SERVICE":
            raise SQLError(f"user {user.name!r} is of type {user.type}, not SERVICE")
        if unknown := sorted(set(properties) - _IDENTITY):
            raise SQLError(f"invalid property {unknown[0]!r}")
        if properties.get("TYPE") != "OIDC":
            raise SQLError("this party knows workload identities of TYPE = OIDC")
        issuer, subject = properties.get("ISSUER"), properties.get("SUBJECT")
        audiences = properties.get("OIDC_AUDIENCE_LIST", list(DEFAULT_AUDIENCES))
        if not isinstance(issuer, str) or not issuer.startswith("https://"):
            raise SQLError("ISSUER must be an https URL")
        if not isinstance(subject, str) or not 1 <= len(subject) <= 255:
            raise SQLError("SUBJECT must have 1 to 255 characters")
        if not isinstance(audiences, list) or not all(isinstance(one, str) for one in audiences):
            raise SQLError("OIDC_AUDIENCE_LIST must be a list of strings")
        other = self.find(issuer, subject)
        if other is not None and (other[0].name != user.name or user.identities.get(name) != other[1]):
            raise SQLError(f"the workload identity is already in use by user {other[0].name!r}")
        made = Identity(issuer, subject, tuple(audiences) or DEFAULT_AUDIENCES)
        self.users[user.name] = replace(user, identities={**user.identities, name: made})

    def _policy(self, name: str, properties: dict[str, Any]) -> None:
        wif = properties.get("WORKLOAD_IDENTITY_POLICY", {})
        known = {"AUTHENTICATION_METHODS", "WORKLOAD_IDENTITY_POLICY", "COMMENT"}
        if set(properties) - known or not isinstance(wif, dict):
            raise SQLError("invalid property of an authentication policy")
        if set(wif) - {"ALLOWED_PROVIDERS", "ALLOWED_OIDC_ISSUERS"}:
            raise SQLError("invalid property of WORKLOAD_IDENTITY_POLICY")
        self.policies[name] = Policy(
            frozenset(map(str, properties.get("AUTHENTICATION_METHODS", ["ALL"]))),
            frozenset(map(str, wif.get("ALLOWED_PROVIDERS", ["ALL"]))),
            frozenset(map(str, wif.get("ALLOWED_OIDC_ISSUERS", ["ALL"]))),
        )
