"""Workload identity providers as HCP's IAM API takes them (hcp-sdk-go, cloud-iam 2019-12-10; cloud-trust §9)."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apostille_testbed.parties.hcp.conditions import Conditions

RESOURCE = re.compile(
    r"iam/project/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/service-principal/[a-z0-9-]{3,36}"
    r"/workload-identity-provider/[a-z0-9-]{3,36}"
)


class ProviderError(Exception):
    """What the API refuses (gRPC INVALID_ARGUMENT)."""


@dataclass(frozen=True)
class Provider:
    """One provider with its resource name."""

    name: str
    issuer: str
    audiences: tuple[str, ...]
    conditional_access: str

    @property
    def principal(self) -> str:
        """The service principal whose credential it gives."""
        return self.name.rpartition("/workload-identity-provider/")[0]


class Providers:
    """All providers; thread-safe."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._lock = threading.Lock()
        self._providers: dict[str, Provider] = {}

    def find(self, name: str) -> Provider | None:
        """The provider with this resource name."""
        with self._lock:
            return self._providers.get(name)

    def create(self, principal: str, document: Mapping[str, Any]) -> None:
        """``POST …/{principal}/workload-identity-provider``, or the update of one. Raises ProviderError."""
        made = self._read(principal, document)
        with self._lock:
            self._providers[made.name] = made

    def load(self, files: Mapping[str, str]) -> None:
        """Replaces all providers by rendered documents, ``provider-*.json``. Raises ProviderError."""
        with self._lock:
            before, self._providers = self._providers, {}
        try:
            for name in sorted(files):
                if name.startswith("provider-") and name.endswith(".json"):
                    document = json.loads(files[name])
                    self.create(document.pop("parent_resource_name"), document)
        except Exception:
            with self._lock:
                self._providers = before
            raise

    def load_directory(self, folder: Path) -> None:
        """`load` of a folder's files."""
        self.load({file.name: file.read_text() for file in folder.iterdir() if file.is_file()})

    def _read(self, principal: str, document: Mapping[str, Any]) -> Provider:
        _only(document, {"name", "provider"}, "")
        provider = document.get("provider")
        if not isinstance(provider, Mapping):
            raise ProviderError("provider is required")
        _only(provider, {"description", "conditional_access", "oidc_config"}, "provider.")
        name = f"{principal}/workload-identity-provider/{document.get('name')}"
        if not RESOURCE.fullmatch(name):
            raise ProviderError(f"{name} is no resource name")
        if len(str(provider.get("description", ""))) > 255:
            raise ProviderError("provider.description has more than 255 characters")
        statement = provider.get("conditional_access")
        if not isinstance(statement, str) or not 5 <= len(statement) <= 511:
            raise ProviderError("provider.conditional_access must have 5 to 511 characters")
        self._check(statement)
        oidc = provider.get("oidc_config")
        if not isinstance(oidc, Mapping):
            raise ProviderError("provider.oidc_config is required")
        _only(oidc, {"issuer_uri", "allowed_audiences"}, "provider.oidc_config.")
        issuer, audiences = oidc.get("issuer_uri"), oidc.get("allowed_audiences", [])
        if not isinstance(issuer, str) or not issuer.startswith("https://"):
            raise ProviderError("provider.oidc_config.issuer_uri must be an https URL")
        if not isinstance(audiences, list) or not all(
            isinstance(one, str) and 1 <= len(one) <= 511 for one in audiences
        ):
            raise ProviderError("provider.oidc_config.allowed_audiences must have 1 to 511 characters each")
        # "If unset, the allowed audiences will default to the resource name of the provider."
        return Provider(name, issuer, tuple(audiences) or (name,), statement)

    def _check(self, statement: str) -> None:
        try:
            self._conditions.holds(statement, {})
        except ValueError as error:
            # What cannot be found in no claims at all is well-formed all the same.
            if "error finding value" not in str(error):
                raise ProviderError(f"provider.conditional_access: {error}") from None


def _only(document: Mapping[str, Any], members: set[str], where: str) -> None:
    if unknown := sorted(set(document) - members):
        raise ProviderError(f"unknown field {where}{unknown[0]}")
