"""Pools, providers and IAM policies of one project, filled only from rendered documents.

What the IAM API refuses is refused (REST reference, projects.locations.workloadIdentityPools.providers).
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apostille_testbed.parties.google.expressions import Expression, Unsupported

POOL, PROVIDER, DIRECT = "pool.json", "provider.json", "direct-access.json"
_ID = r"(?!gcp-)[a-z0-9-]{4,32}"
_POOL_NAME = re.compile(rf"projects/[0-9]+/locations/global/workloadIdentityPools/{_ID}")
_NAME = re.compile(rf"{_POOL_NAME.pattern}/providers/{_ID}")
_ATTRIBUTE = re.compile(r"google\.(subject|groups|display_name)|attribute\.[a-z0-9_]{1,100}")
_KEY_MEMBERS = frozenset({"kty", "alg", "use", "kid", "n", "e", "x", "y", "crv"})
# IAM "Principal identifiers": a pool's members name the project by its number.
_MEMBER = re.compile(
    r"principal://iam\.googleapis\.com/projects/[0-9]+/locations/global/workloadIdentityPools/[a-z0-9-]{4,32}/subject/\S+"
    r"|principalSet://iam\.googleapis\.com/projects/[0-9]+/locations/global/workloadIdentityPools/[a-z0-9-]{4,32}/"
    r"(\*|group/\S+|attribute\.[a-z0-9_]+/\S+)"
    r"|(user|serviceAccount|group):\S+@\S+"
)


class IAMError(Exception):
    """A document that IAM refuses (INVALID_ARGUMENT)."""


@dataclass(frozen=True)
class Provider:
    """An OIDC provider. ``keys`` are uploaded ones, None where they are fetched."""

    name: str
    disabled: bool
    issuer: str
    audiences: tuple[str, ...]
    keys: tuple[Mapping[str, Any], ...] | None
    mapping: Mapping[str, Expression]
    condition: Expression | None

    @property
    def pool(self) -> str:
        """The name of its pool."""
        return self.name.partition("/providers/")[0]


class Pools:
    """State by the documents that were applied; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[str, bool] = {}
        self._providers: dict[str, Provider] = {}
        self._members: dict[str, frozenset[str]] = {}
        self.direct: frozenset[str] = frozenset()
        """Principals to which roles were granted directly."""

    def apply(self, files: Mapping[str, str]) -> None:
        """Makes the project what the documents say. Raises IAMError, and then changes nothing."""
        pool = _read(files, POOL)
        if not _POOL_NAME.fullmatch(str(pool.get("name"))):
            raise IAMError(f"{POOL}: invalid name {pool.get('name')!r}")
        made = provider(_read(files, PROVIDER))
        if made.pool != pool["name"]:
            raise IAMError(f"{PROVIDER}: not of the pool")
        members = {}
        for name in files:
            if name.startswith("service-account-"):
                email = name.removeprefix("service-account-").removesuffix(".json").replace("_at_", "@")
                members[email] = _members(name, _read(files, name))
        direct = frozenset(_checked(DIRECT, _read(files, DIRECT)["members"])) if DIRECT in files else frozenset()
        with self._lock:
            self._pools = {pool["name"]: bool(pool.get("disabled"))}
            self._providers = {made.name: made}
            self._members, self.direct = members, direct

    def find(self, name: str) -> Provider | None:
        """A provider that is enabled, and so is its pool."""
        with self._lock:
            found = self._providers.get(name)
            return None if found is None or found.disabled or self._pools.get(found.pool, True) else found

    def may_impersonate(self, email: str) -> frozenset[str] | None:
        """Members of roles/iam.workloadIdentityUser; None where there is no such service account."""
        with self._lock:
            return self._members.get(email)


def provider(document: Mapping[str, Any]) -> Provider:
    """Raises IAMError."""
    known = {"name", "displayName", "description", "disabled", "attributeMapping", "attributeCondition", "oidc"}
    if unknown := sorted(set(document) - known):
        raise IAMError(f"{PROVIDER}: Unknown name {unknown[0]!r}")
    name, oidc, mapping = document.get("name"), document.get("oidc"), document.get("attributeMapping")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise IAMError(f"{PROVIDER}: invalid name {name!r}")
    if not isinstance(oidc, dict) or set(oidc) - {"issuerUri", "allowedAudiences", "jwksJson"}:
        raise IAMError(f"{PROVIDER}: oidc needs issuerUri")
    issuer = oidc.get("issuerUri")
    if not isinstance(issuer, str) or not issuer.startswith("https://"):
        raise IAMError(f"{PROVIDER}: issuerUri must be an https URL")
    audiences = oidc.get("allowedAudiences", [])
    if not isinstance(audiences, list) or len(audiences) > 10 or not all(0 < len(str(one)) <= 256 for one in audiences):
        raise IAMError(f"{PROVIDER}: at most 10 allowedAudiences of 256 characters")
    if not isinstance(mapping, dict) or "google.subject" not in mapping:
        raise IAMError(f"{PROVIDER}: google.subject must be mapped")
    if sum(key.startswith("attribute.") for key in mapping) > 50:
        raise IAMError(f"{PROVIDER}: at most 50 custom attributes")
    for key, expression in mapping.items():
        if not _ATTRIBUTE.fullmatch(key) or not isinstance(expression, str) or len(expression) > 2048:
            raise IAMError(f"{PROVIDER}: attributeMapping of {key!r}")
    condition = document.get("attributeCondition") or ""
    if not isinstance(condition, str) or len(condition) > 4096:
        raise IAMError(f"{PROVIDER}: attributeCondition has at most 4096 characters")
    try:
        return Provider(
            name,
            bool(document.get("disabled")),
            issuer,
            tuple(audiences),
            _keys(oidc["jwksJson"]) if oidc.get("jwksJson") else None,
            {key: Expression(text, frozenset({"assertion"})) for key, text in mapping.items()},
            Expression(condition, frozenset({"assertion", "google", "attribute"})) if condition.strip() else None,
        )
    except Unsupported as error:
        raise IAMError(f"{PROVIDER}: invalid expression: {error}") from None


def _keys(text: str) -> tuple[Mapping[str, Any], ...]:
    try:
        keys = json.loads(text)["keys"]
        allowed = all(isinstance(key, dict) and not set(key) - _KEY_MEMBERS for key in keys)
    except (ValueError, KeyError, TypeError):
        allowed = False
    if not allowed:
        raise IAMError(f"{PROVIDER}: Input JWK is not in a valid json format")
    return tuple(keys)


def _members(file: str, policy: Mapping[str, Any]) -> frozenset[str]:
    if set(policy) - {"bindings", "version", "etag"}:
        raise IAMError(f"{file}: not a policy")
    found: set[str] = set()
    for binding in policy.get("bindings", []):
        if set(binding) - {"role", "members"}:
            raise IAMError(f"{file}: IAM conditions are not judged here")
        if len(binding["members"]) > 1500:
            raise IAMError(f"{file}: at most 1500 principals")
        if binding["role"] in ("roles/iam.workloadIdentityUser", "roles/iam.serviceAccountTokenCreator"):
            found |= set(_checked(file, binding["members"]))
    return frozenset(found)


def _checked(file: str, members: list[str]) -> list[str]:
    for member in members:
        if not _MEMBER.fullmatch(member):
            raise IAMError(f"{file}: Invalid principal {member}")
    return members


def _read(files: Mapping[str, str], name: str) -> dict[str, Any]:
    try:
        document = json.loads(files[name])
    except (KeyError, ValueError):
        raise IAMError(f"{name}: not JSON") from None
    if not isinstance(document, dict):
        raise IAMError(f"{name}: not an object")
    return document
