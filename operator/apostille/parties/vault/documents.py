"""Vault's side of the trust as documents: the method's configuration and its roles (cloud-trust §6.1, §6.2)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from apostille.parties import shape

CONFIG = "config.json"
UID = "/kubernetes.io/serviceaccount/uid"

# A token that nobody renews any more dies after this part of the longest session.
_PARTS_OF_SESSION = 3


@dataclass(frozen=True, slots=True)
class VaultAccess:
    """The documents themselves: ``config`` of the auth method, ``roles`` by name.

    ``mount`` and ``namespace`` say where; no document does.
    """

    config: Mapping[str, Any]
    roles: Mapping[str, Mapping[str, Any]]
    mount: str = "jwt"
    namespace: str = ""

    def canonical(self) -> bytes:
        """The rendered documents."""
        return json.dumps(render(self), sort_keys=True).encode()


def config(issuer: str, algorithms: Iterable[str]) -> dict[str, Any]:
    """The body of ``auth/MOUNT/config``; a write replaces what was there."""
    return {
        "oidc_discovery_url": issuer,
        # Without it tokens of whoever else signs with a known key would pass.
        "bound_issuer": issuer,
        # Without it Vault takes every asymmetric algorithm.
        "jwt_supported_algs": list(algorithms),
        "default_role": "",
    }


def role(
    audience: str,
    subjects: Iterable[str],
    policies: Iterable[str] | None,
    session_seconds: int,
    uids: Iterable[str] = (),
) -> dict[str, Any]:
    """The body of ``auth/MOUNT/role/NAME``: this audience, exactly these subjects; with ``uids`` these instances alone.

    A write changes only the fields that it names, so every field that could let in more is named.
    """
    exact = sorted(subjects)
    claims: dict[str, Any] = {} if len(exact) == 1 else {"sub": exact}
    if instances := sorted(uids):
        # A UID is nobody else's, so subjects and instances need no pairs.
        claims[UID] = instances
    document: dict[str, Any] = {
        # Unset it would be oidc, which refuses every login.
        "role_type": "jwt",
        "user_claim": "sub",
        "user_claim_json_pointer": False,
        "groups_claim": "",
        "bound_audiences": [audience],
        "bound_subject": exact[0] if len(exact) == 1 else "",
        "bound_claims": claims,
        "bound_claims_type": "string",
        # 0: Vault's defaults, of which only the 60 seconds of clock skew matter to tokens that have all times.
        "clock_skew_leeway": 0,
        "expiration_leeway": 0,
        "not_before_leeway": 0,
        # Batch tokens can be neither renewed nor revoked.
        "token_type": "service",
        "token_ttl": session_seconds // _PARTS_OF_SESSION,
        "token_max_ttl": session_seconds,
        "token_period": 0,
        "token_num_uses": 0,
    }
    if policies is not None:
        document["token_policies"] = list(policies)
    return document


def render(access: VaultAccess) -> dict[str, str]:
    """Native documents by file name: the bodies of the API's requests, also of ``vault write PATH @FILE``."""
    return {CONFIG: _text(access.config)} | {
        f"role-{name}.json": _text(access.roles[name]) for name in sorted(access.roles)
    }


_DURATION: Any = (int, float, str)
_CONFIG = {
    "bound_issuer": str,
    "default_role": str,
    "oidc_discovery_url": str,
    "jwt_supported_algs": shape.TEXTS,
}
_ROLE = {
    "role_type": str,
    "user_claim": str,
    "user_claim_json_pointer": (bool, str),
    "bound_subject": str,
    "bound_audiences": shape.TEXTS,
    "bound_claims": {"*": (str, bool, int, float, [(str, bool, int, float)])},
    "bound_claims_type": str,
    "token_policies": shape.TEXTS,
    "token_max_ttl": _DURATION,
    "token_period": _DURATION,
    "clock_skew_leeway": _DURATION,
    "expiration_leeway": _DURATION,
}


def parse(files: Mapping[str, str]) -> VaultAccess:
    """Reads what ``render`` writes, also when somebody edited it. Raises ValueError naming the file."""
    roles = {
        name.removeprefix("role-").removesuffix(".json"): shape.read(files, name, _ROLE)
        for name in sorted(files)
        if name.startswith("role-") and name.endswith(".json")
    }
    return VaultAccess(shape.read(files, CONFIG, _CONFIG), roles)


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"
