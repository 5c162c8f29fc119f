"""Entra's side of the trust as documents: the federated credentials of each identity (cloud-trust §5.1, §5.2)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apostille.parties.azure.settings import APPLICATION

_FILE = "identity-"


@dataclass(frozen=True, slots=True)
class Credential:
    """A federated identity credential. ``flexible`` is an expression in place of the subject."""

    name: str
    issuer: str
    subject: str
    audiences: tuple[str, ...]
    flexible: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """An identity with all its credentials; ``resource`` as in `settings.AzureIdentity`."""

    resource: str
    credentials: tuple[Credential, ...]


@dataclass(frozen=True, slots=True)
class AzureAccess:
    """Identities by client id."""

    tenant_id: str
    identities: Mapping[str, Identity]

    def canonical(self) -> bytes:
        """The rendered documents."""
        return json.dumps(render(self), sort_keys=True).encode()


def credential(issuer: str, subject: str, audience: str) -> Credential:
    """Exactly this issuer, subject and audience: Entra compares nothing else, and knows no patterns here."""
    _, _, namespace, account = subject.split(":", 3)
    # 3 to 120 of letters, digits, - and _; the digest keeps apart what is shortened or written alike.
    readable = re.sub(r"[^A-Za-z0-9-]", "-", f"{namespace}-{account}")[:100]
    digest = hashlib.sha256(f"{issuer} {subject}".encode()).hexdigest()[:8]
    return Credential(f"{readable}-{digest}", issuer, subject, (audience,))


def file(client: str) -> str:
    """The document of an identity."""
    return f"{_FILE}{client}.json"


def render(access: AzureAccess) -> dict[str, str]:
    """A document an identity: its credentials as the API lists them, the resource manager's or Graph's."""
    return {file(client): _text(access, client) for client in sorted(access.identities)}


def _text(access: AzureAccess, client: str) -> str:
    found = access.identities[client]
    listed = [body(found, one) for one in found.credentials]
    document = {"tenantId": access.tenant_id, "clientId": client, "id": found.resource, "value": listed}
    return json.dumps(document, indent=2, ensure_ascii=True) + "\n"


def body(of: Identity, one: Credential) -> dict[str, Any]:
    """The body of the request that makes it."""
    properties: dict[str, Any] = {"issuer": one.issuer, "subject": one.subject, "audiences": list(one.audiences)}
    if one.flexible:
        properties["claimsMatchingExpression"] = {"value": one.flexible, "languageVersion": 1}
    if APPLICATION.fullmatch(of.resource):
        return {"name": one.name, **properties}
    return {"name": one.name, "properties": properties}


def parse(files: Mapping[str, str]) -> AzureAccess:
    """Reads what ``render`` writes, also when somebody edited it. Raises ValueError naming the file."""
    identities, tenant = {}, ""
    for name in sorted(files):
        if not (name.startswith(_FILE) and name.endswith(".json")):
            continue
        try:
            document = json.loads(files[name])
            tenant = str(document["tenantId"])
            credentials = tuple(_credential(one) for one in document["value"])
            identities[str(document["clientId"])] = Identity(str(document["id"]), credentials)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{name}: not an identity with federated credentials ({error!r})") from None
    return AzureAccess(tenant, identities)


def _credential(written: Mapping[str, Any]) -> Credential:
    found = written.get("properties", written)
    flexible = (found.get("claimsMatchingExpression") or {}).get("value", "")
    return Credential(
        str(written["name"]),
        str(found["issuer"]),
        str(found.get("subject") or ""),
        tuple(str(audience) for audience in found["audiences"]),
        str(flexible),
    )
