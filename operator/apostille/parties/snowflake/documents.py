"""Snowflake's side of the trust as SQL: service users with their workload identities, an authentication policy."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from apostille.parties.snowflake import sql

POLICY_FILE = "authentication-policy.sql"
DEFAULT = "DEFAULT"  # the identity of the property WORKLOAD_IDENTITY
_IDENTITY = re.compile(r"user-(?P<user>.+)\.sql")


@dataclass(frozen=True, slots=True)
class Identity:
    """One workload identity of type OIDC; without ``audiences`` it accepts what every account of Snowflake does."""

    issuer: str
    subject: str
    audiences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """An authentication policy, ``name`` as DATABASE.SCHEMA.NAME; empty where there is none."""

    name: str = ""
    methods: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    issuers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SnowflakeAccess:
    """``users``: the workload identities of each user by name. ``kinds``: the TYPE of users that are not SERVICE."""

    users: Mapping[str, Mapping[str, Identity]]
    policy: Policy = Policy()
    kinds: Mapping[str, str] | None = None

    def canonical(self) -> bytes:
        """The rendered documents."""
        return json.dumps(render(self), sort_keys=True).encode()


def identities(issuer: str, audience: str, subjects: Mapping[str, None] | list[str]) -> dict[str, Identity]:
    """The first subject is the user's default identity, which is set anew each time; others have names of their own."""
    made: dict[str, Identity] = {}
    for subject in sorted(subjects):
        digest = hashlib.sha256(f"{issuer}\n{subject}".encode()).hexdigest()[:12].upper()
        made[f"APOSTILLE_{digest}" if made else DEFAULT] = Identity(issuer, subject, (audience,))
    return made


def render(access: SnowflakeAccess) -> dict[str, str]:
    """Native documents: one script for each user, one for the policy, which runs first."""
    files = {POLICY_FILE: policy_script(access.policy)} if access.policy.name else {}
    return files | {f"user-{user}.sql": user_script(access, user) for user in sorted(access.users)}


def policy_script(policy: Policy) -> str:
    """Makes the policy, and sets what it says: whichever it said before."""
    methods, issuers = sql.texts(policy.methods), sql.texts(policy.issuers)
    return (
        f"CREATE AUTHENTICATION POLICY IF NOT EXISTS {policy.name};\n"
        f"ALTER AUTHENTICATION POLICY {policy.name} SET\n"
        f"  AUTHENTICATION_METHODS = {methods}\n"
        f"  WORKLOAD_IDENTITY_POLICY = (ALLOWED_PROVIDERS = ({', '.join(policy.providers)}) "
        f"ALLOWED_OIDC_ISSUERS = {issuers});\n"
    )


def user_script(access: SnowflakeAccess, user: str) -> str:
    """Makes the user, and sets its identities."""
    kind = (access.kinds or {}).get(user, "SERVICE")
    lines = [f"CREATE USER IF NOT EXISTS {user} TYPE = {kind};"]
    lines += [identity_statement(user, name, identity) for name, identity in access.users[user].items()]
    if access.policy.name:
        lines.append(f"ALTER USER {user} SET AUTHENTICATION POLICY {access.policy.name} FORCE;")
    return "\n".join(lines) + "\n"


def identity_statement(user: str, name: str, identity: Identity, verb: str = "ADD") -> str:
    """Sets the default identity, or adds (``verb`` MODIFY: changes) a named one."""
    said = f"TYPE = OIDC ISSUER = {sql.text(identity.issuer)}\n  SUBJECT = {sql.text(identity.subject)}"
    if verb == "MODIFY":
        said = said.removeprefix("TYPE = OIDC ")  # immutable
    if identity.audiences:
        said += f"\n  OIDC_AUDIENCE_LIST = {sql.texts(identity.audiences)}"
    if name == DEFAULT:
        return f"ALTER USER {user} SET WORKLOAD_IDENTITY = (\n  {said}\n);"
    return f"ALTER USER {user} {verb} WORKLOAD IDENTITY {name}\n  {said};"


def parse(files: Mapping[str, str]) -> SnowflakeAccess:
    """Reads what ``render`` writes, also when somebody edited it. Raises ValueError naming the file."""
    access = SnowflakeAccess({}, Policy(), {})
    for name in sorted(files):
        if name == POLICY_FILE or _IDENTITY.fullmatch(name):
            try:
                access = _script(access, files[name])
            except (ValueError, KeyError, AttributeError, TypeError) as error:
                raise ValueError(f"{name}: not a script that sets up workload identities ({error})") from None
    return replace(
        access, kinds={user: kind for user, kind in (access.kinds or {}).items() if kind != "SERVICE"} or None
    )


def _script(access: SnowflakeAccess, text: str) -> SnowflakeAccess:
    users = {user: dict(known) for user, known in access.users.items()}
    kinds, policy = dict(access.kinds or {}), access.policy
    for words, properties in sql.statements(text):
        match words:
            case ("CREATE", "USER", *_, user):
                users.setdefault(user, {})
                kinds[user] = str(properties.get("TYPE", "PERSON"))
                if (found := properties.get("WORKLOAD_IDENTITY")) is not None:
                    users[user][DEFAULT] = _identity(found)
            case ("ALTER", "USER", user, "SET"):
                users.setdefault(user, {})[DEFAULT] = _identity(properties["WORKLOAD_IDENTITY"])
            case ("ALTER", "USER", user, "ADD" | "MODIFY", "WORKLOAD", "IDENTITY", name):
                users.setdefault(user, {})[name] = _identity(properties)
            case ("ALTER", "USER", _, "SET", "AUTHENTICATION", "POLICY", name, *_):
                policy = policy if policy.name == name else Policy(name)
            case ("CREATE", *_, "AUTHENTICATION", "POLICY", "IF", "NOT", "EXISTS", name):
                policy = Policy(name)
            case ("ALTER", "AUTHENTICATION", "POLICY", name, "SET"):
                wif = properties.get("WORKLOAD_IDENTITY_POLICY", {})
                policy = Policy(
                    name,
                    tuple(properties.get("AUTHENTICATION_METHODS", ())),
                    tuple(wif.get("ALLOWED_PROVIDERS", ())),
                    tuple(wif.get("ALLOWED_OIDC_ISSUERS", ())),
                )
            case _:
                raise ValueError(f"{' '.join(words[:4])} is not one of its statements")
    return SnowflakeAccess(users, policy, kinds)


def _identity(properties: sql.Properties) -> Identity:
    if properties.get("TYPE", "OIDC") != "OIDC":
        raise ValueError("a workload identity of another TYPE than OIDC")
    return Identity(
        str(properties["ISSUER"]), str(properties["SUBJECT"]), tuple(properties.get("OIDC_AUDIENCE_LIST", ()))
    )
