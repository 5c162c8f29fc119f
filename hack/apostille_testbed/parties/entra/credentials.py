"""Identities of one tenant and their federated credentials, filled only from rendered documents.

What the resource manager and Graph refuse is refused ("federatedIdentityCredential resource type", limits and
restrictions of "Workload identity federation").
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{2,119}", re.ASCII)
_MANAGED = re.compile(
    r"/subscriptions/[0-9a-f-]{36}/resourceGroups/[^/]+/providers/Microsoft\.ManagedIdentity/userAssignedIdentities/[^/]+"
)
_APPLICATION = re.compile(r"/applications/[0-9a-f-]{36}")
MAX_CREDENTIALS, MAX_LENGTH = 20, 600


class CredentialError(Exception):
    """A credential that the API refuses, in its words."""


@dataclass(frozen=True)
class Credential:
    """A federated identity credential."""

    name: str
    issuer: str
    subject: str
    audience: str


@dataclass(frozen=True)
class Identity:
    """An application or a managed identity."""

    client_id: str
    is_application: bool
    credentials: tuple[Credential, ...]


class Directory:
    """A tenant; thread-safe. Which identities there are is what the documents name."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self._lock = threading.Lock()
        self._identities: dict[str, Identity] = {}

    def apply(self, files: Mapping[str, str]) -> None:
        """Makes the tenant what the documents say. Raises CredentialError, and then changes nothing."""
        made = [self._identity(name, text) for name, text in sorted(files.items()) if name.startswith("identity-")]
        with self._lock:
            self._identities = {one.client_id: one for one in made}

    def find(self, client_id: str) -> Identity | None:
        """The identity of a client id."""
        with self._lock:
            return self._identities.get(client_id)

    def _identity(self, file: str, text: str) -> Identity:
        document = json.loads(text)
        if document.get("tenantId") != self.tenant or not _UUID.fullmatch(str(document.get("clientId"))):
            raise CredentialError(f"{file}: of another tenant, or no client id")
        resource = str(document.get("id"))
        application = _APPLICATION.fullmatch(resource) is not None
        if not application and not _MANAGED.fullmatch(resource):
            raise CredentialError(f"{file}: {resource} has no federated identity credentials")
        credentials = tuple(_credential(file, one, application=application) for one in document["value"])
        if len(credentials) > MAX_CREDENTIALS:
            raise CredentialError(f"{file}: at most {MAX_CREDENTIALS} federated identity credentials")
        if len({(one.issuer, one.subject) for one in credentials}) < len(credentials):
            raise CredentialError(f"{file}: Issuer and subject combination already exists for this Managed Identity")
        if len({one.name.lower() for one in credentials}) < len(credentials):
            raise CredentialError(f"{file}: a name is used twice")
        return Identity(document["clientId"], application, credentials)


def _credential(file: str, written: Mapping[str, Any], *, application: bool) -> Credential:
    properties = written if application else written.get("properties")
    known = {"issuer", "subject", "audiences", *({"name", "description"} if application else ())}
    if not isinstance(properties, Mapping) or set(properties) - known:
        raise CredentialError(f"{file}: empty properties, or some that are not known")
    name, audiences = written.get("name"), properties.get("audiences")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise CredentialError(f"{file}: invalid name {name!r}")
    if not isinstance(audiences, list) or len(audiences) != 1:
        raise CredentialError(f"{file}: must have exactly one audience")
    issuer, subject, audience = (
        value if isinstance(value, str) else ""
        for value in (properties.get("issuer"), properties.get("subject"), audiences[0])
    )
    if not all(0 < len(value) <= MAX_LENGTH for value in (issuer, subject, audience)):
        raise CredentialError(f"{file}: issuer, subject and audience have 1 to {MAX_LENGTH} characters")
    if not issuer.startswith("https://"):
        raise CredentialError(f"{file}: the issuer must be an https URL")
    return Credential(name, issuer, subject, audience)
