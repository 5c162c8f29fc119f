"""MinIO's side of the trust as documents: the OpenID provider's environment, and policies (cloud-trust §11)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from apostille.parties import shape
from apostille.parties.minio.settings import MinIOPolicy

ENVIRONMENT, POLICIES = "openid.env", "policies.json"
PREFIX = "MINIO_IDENTITY_OPENID_"
SUBJECT = "jwt:sub"
DURATION = "sts:DurationSeconds"
EXCHANGE = "sts:AssumeRoleWithWebIdentity"
CEILING = "apostille-ceiling"

_NOTE = """\
# For the server's environment (MINIO_CONFIG_ENV_FILE); it reads this at its start.
# Add MINIO_IDENTITY_OPENID_CLIENT_SECRET yourself: a random text of at least 32 bytes that you keep nowhere. Nobody
# signs with it, but whoever knows it, or an empty one, can make tokens for any subject.
"""


@dataclass(frozen=True, slots=True)
class MinIOAccess:
    """The documents themselves: ``environment`` of the server, ``policies`` by name.

    The ``Sid`` of a statement is the name of the target that it belongs to.
    """

    environment: Mapping[str, str]
    policies: Mapping[str, Mapping[str, Any]]

    def setting(self, name: str) -> str:
        """A setting of the OpenID provider, empty where it is not set."""
        return self.environment.get(PREFIX + name, "")

    def canonical(self) -> bytes:
        """The rendered documents."""
        return json.dumps(render(self), sort_keys=True).encode()


def provider(issuer: str, audience: str, name: str, mapping: Mapping[str, str]) -> dict[str, str]:
    """The OpenID provider; ``mapping`` is CLAIM_NAME or ROLE_POLICY with its value."""
    return {
        f"{PREFIX}CONFIG_URL": f"{issuer.rstrip('/')}/.well-known/openid-configuration",
        f"{PREFIX}CLIENT_ID": audience,
        f"{PREFIX}DISPLAY_NAME": name,
        **{PREFIX + key: value for key, value in mapping.items()},
    }


def statements(policy: MinIOPolicy, subjects: Iterable[str] | None = None) -> list[dict[str, Any]]:
    """The statements of one target, for exactly these subjects where they are given."""
    only = {} if subjects is None else {"Condition": {"StringEquals": {SUBJECT: sorted(subjects)}}}
    return [
        {
            "Sid": policy.name,
            "Effect": "Allow",
            "Action": list(statement.actions),
            "Resource": list(statement.resources),
            **only,
        }
        for statement in policy.statements
    ]


def document(made: Iterable[Mapping[str, Any]], session_seconds: int) -> dict[str, Any]:
    """A policy of these statements, for credentials that live no longer.

    Without the ceiling whoever holds a token may ask for a credential of a year, whatever the token's own life.
    """
    ceiling = {
        "Sid": CEILING,
        "Effect": "Deny",
        "Action": [EXCHANGE],
        "Condition": {"NumericGreaterThan": {DURATION: [session_seconds]}},
    }
    return {"Version": "2012-10-17", "Statement": [*(dict(statement) for statement in made), ceiling]}


def render(access: MinIOAccess) -> dict[str, str]:
    """Native documents: an environment file, and policies by name (``mc admin policy create ALIAS NAME FILE``)."""
    lines = "".join(f"{name}={access.environment[name]}\n" for name in sorted(access.environment))
    policies = {name: access.policies[name] for name in sorted(access.policies)}
    return {ENVIRONMENT: _NOTE + lines, POLICIES: json.dumps(policies, indent=2, ensure_ascii=True) + "\n"}


def parse(files: Mapping[str, str]) -> MinIOAccess:
    """Reads what ``render`` writes, also when somebody edited it. Raises ValueError naming the file."""
    if ENVIRONMENT not in files:
        raise ValueError(f"{ENVIRONMENT}: missing")
    environment = {}
    for number, line in enumerate(files[ENVIRONMENT].splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, separator, value = line.removeprefix("export ").partition("=")
        if not separator or not name.startswith("MINIO_"):
            raise ValueError(f"{ENVIRONMENT}: line {number} is not MINIO_NAME=VALUE")
        environment[name.strip()] = _unquoted(value.strip())
    policies = shape.read(files, POLICIES, {"*": shape.POLICY})
    for name, policy in policies.items():
        if not isinstance(policy.get("Statement"), list):
            raise ValueError(f"{POLICIES}:{name}: needs a list of statements")
    return MinIOAccess(environment, policies)


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value
