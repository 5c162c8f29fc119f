"""The state of one AWS account: OIDC providers and roles, filled only from rendered documents."""

from __future__ import annotations

import base64
import re
import secrets
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apostille_testbed.parties.aws.documents import IAMError, provider_input, read_json, role_input

__all__ = ["IAM", "IAMError", "Provider", "Role"]

_PROVIDER_FILE = "oidc-provider.json"
_ROLE_FILE = re.compile(r"role-.+\.json")


@dataclass(frozen=True)
class Provider:
    """An OIDC provider of the account (IAM GetOpenIDConnectProvider)."""

    url: str
    client_ids: tuple[str, ...]
    arn: str


@dataclass(frozen=True)
class Role:
    """A role of the account (IAM GetRole). ``role_id`` changes when a role of the same name is created again."""

    name: str
    path: str
    arn: str
    role_id: str
    policy: Mapping[str, Any]
    max_session_seconds: int


class IAM:
    """Providers and roles by the documents that were applied; thread-safe.

    ``permit`` stands for the role's permission policy, which is the platform team's and not rendered.
    """

    def __init__(self, account: str, partition: str = "aws") -> None:
        self.account = account
        self.partition = partition
        self._lock = threading.RLock()
        self._providers: dict[str, Provider] = {}
        self._roles: dict[str, Role] = {}
        self._readable: dict[str, frozenset[str]] = {}
        self._loaded: dict[str, tuple[frozenset[str], frozenset[str]]] = {}

    @property
    def providers(self) -> tuple[Provider, ...]:
        """All providers, in the order of their creation."""
        with self._lock:
            return tuple(self._providers.values())

    @property
    def roles(self) -> tuple[Role, ...]:
        """All roles, in the order of their creation."""
        with self._lock:
            return tuple(self._roles.values())

    def apply_provider(self, document: Mapping[str, Any] | str) -> Provider:
        """Creates the provider, or sets the client ids of the one with this URL. Raises IAMError."""
        url, client_ids = provider_input(_object(document))
        # The scheme is dropped, everything else kept byte for byte, a trailing slash too (cloud-trust §3.1).
        arn = f"arn:{self.partition}:iam::{self.account}:oidc-provider/{url.removeprefix('https://')}"
        provider = Provider(url, client_ids, arn)
        with self._lock:
            self._providers[url] = provider
        return provider

    def apply_role(self, document: Mapping[str, Any] | str) -> Role:
        """Creates the role, or sets trust policy and maximum session of the one with this name. Raises IAMError."""
        name, path, policy, seconds = role_input(_object(document))
        arn = f"arn:{self.partition}:iam::{self.account}:role{path}{name}"
        with self._lock:
            # Names are unique without regard to case (IAM CreateRole); another path is another role.
            old = self._roles.get(name.lower())
            role_id = old.role_id if old is not None and old.arn == arn else _unique_id("AROA")
            role = self._roles[name.lower()] = Role(name, path, arn, role_id, policy, seconds)
        return role

    def remove_provider(self, url: str) -> None:
        """Deletes a provider; none is fine (DeleteOpenIDConnectProvider is idempotent)."""
        with self._lock:
            self._providers.pop(url, None)

    def remove_role(self, name: str) -> None:
        """Deletes a role with its permission; none is fine. Its sessions end with it."""
        with self._lock:
            self._roles.pop(name.lower(), None)
            self._readable.pop(name.lower(), None)

    def permit(self, role: str, buckets: Iterable[str]) -> None:
        """Lets a role, by its name, list and read exactly these buckets; may be said before the role exists.

        Raises ValueError for an ARN, which no role is called.
        """
        if ":" in role:
            raise ValueError(f"{role!r} is not the name of a role")
        with self._lock:
            self._readable[role.lower()] = frozenset(buckets)

    def may_read(self, role: str, bucket: str) -> bool:
        """Whether a role may list and read a bucket."""
        with self._lock:
            return bucket in self._readable.get(role.lower(), frozenset())

    def provider_for(self, issuer: str) -> Provider | None:
        """The provider whose URL is the issuer, byte for byte (cloud-trust §1.2)."""
        with self._lock:
            return self._providers.get(issuer)

    def role_by_arn(self, arn: str) -> Role | None:
        """The role with exactly this ARN, its path and case included."""
        with self._lock:
            return next((role for role in self._roles.values() if role.arn == arn), None)

    def role_by_id(self, role_id: str) -> Role | None:
        """The role with this unique id."""
        with self._lock:
            return next((role for role in self._roles.values() if role.role_id == role_id), None)

    def load_files(self, files: Mapping[str, str], source: str = "files") -> tuple[str, ...]:
        """Makes the account what the data of a rendered ConfigMap say; returns the file names that were read.

        ``oidc-provider.json`` and ``role-NAME.json`` count, other names are for other tools.
        What the same ``source`` held before and holds no longer is removed.
        Raises IAMError, and then changes nothing.
        """
        known = tuple(sorted(name for name in files if name == _PROVIDER_FILE or _ROLE_FILE.fullmatch(name)))
        documents = {name: _object(files[name]) for name in known}
        providers = {name: provider_input(documents[name])[0] for name in known if name == _PROVIDER_FILE}
        roles = {name: role_input(documents[name])[0] for name in known if name != _PROVIDER_FILE}
        with self._lock:
            old_urls, old_roles = self._loaded.get(source, (frozenset(), frozenset()))
            urls, names = frozenset(providers.values()), frozenset(name.lower() for name in roles.values())
            for url in old_urls - urls:
                self.remove_provider(url)
            for name in old_roles - names:
                # The permission stays: it is not rendered, and the role may come back.
                self._roles.pop(name, None)
            for name in providers:
                self.apply_provider(documents[name])
            for name in roles:
                self.apply_role(documents[name])
            self._loaded[source] = (urls, names)
        return known

    def load_directory(self, path: Path) -> tuple[str, ...]:
        """`load_files` with the files of a folder, which is also the source's name. Raises IAMError, OSError."""
        files = {file.name: file.read_text() for file in sorted(path.glob("*.json"))}
        return self.load_files(files, source=str(path))


def _object(document: Mapping[str, Any] | str) -> Mapping[str, Any]:
    if isinstance(document, str):
        document = read_json(document, "ValidationError")
    if not isinstance(document, Mapping):
        raise IAMError("ValidationError", "The document is not a JSON object")
    return document


def _unique_id(prefix: str) -> str:
    return prefix + base64.b32encode(secrets.token_bytes(10)).decode()
