"""The strict Entra with one issuer and two identities: what its tests share."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from apostille_testbed.parties import party
from apostille_testbed.parties.entra import EntraParty
from apostille_testbed.parties.proxy import Proxy
from apostille_testbed.parties.serving import Server
from testbed.negative_matrix import SUBJECT
from testbed.strict_sts_issuer import Issuer, served

URL = "https://cluster-a.issuer.example"
AUDIENCE = "api://AzureADTokenExchange"
TENANT = "11111111-2222-3333-4444-555555555555"
MANAGED, APPLICATION = (f"{letter * 8}-0000-0000-0000-000000000000" for letter in "ab")
SCOPE = "https://storage.azure.com/.default"


class Clock:
    """The machine's time plus ``ahead`` seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass(frozen=True)
class Answer:
    """A reply; ``token`` is empty where Entra refuses, ``code`` then its number."""

    status: int
    document: Any
    token: str
    code: int


@dataclass
class World:
    """What a test holds in hand."""

    entra: EntraParty
    issuer: Issuer
    keys: Server
    clock: Clock
    proxy: Proxy

    def token(self, subject: str = SUBJECT, audience: Any = None, **changes: Any) -> str:
        """A token that both identities accept, with changes."""
        return self.issuer.token(subject, [AUDIENCE] if audience is None else audience, **changes)

    def exchange(self, token: str, tenant: str = TENANT, **changes: str | None) -> Answer:
        """One call of the token endpoint; a change to None leaves a parameter out."""
        form = {
            "grant_type": "client_credentials",
            "client_id": MANAGED,
            "scope": SCOPE,
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": token,
        } | changes
        body = urlencode({name: value for name, value in form.items() if value is not None})
        context = ssl.create_default_context(cafile=str(self.entra.ca))
        connection = http.client.HTTPSConnection("127.0.0.1", self.entra.port, timeout=20, context=context)
        try:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request("POST", f"/{tenant}/oauth2/v2.0/token", body, headers)
            response = connection.getresponse()
            document = json.loads(response.read())
        finally:
            connection.close()
        codes = document.get("error_codes", [0])
        return Answer(response.status, document, document.get("access_token", ""), codes[0])


def documents(identity: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, str]:
    """A managed identity and an application with one credential each; ``changes`` are to the first one's."""
    properties = {"issuer": URL, "subject": SUBJECT, "audiences": [AUDIENCE]}
    resource = (
        "/subscriptions/99999999-8888-7777-6666-555555555555/resourceGroups/rg/providers/"
        "Microsoft.ManagedIdentity/userAssignedIdentities/reader"
    )
    managed = {
        "tenantId": TENANT,
        "clientId": MANAGED,
        "id": resource,
        "value": [{"name": "payments-reader", "properties": properties | changes}],
    } | dict(identity or {})
    application = {
        "tenantId": TENANT,
        "clientId": APPLICATION,
        "id": "/applications/dddddddd-0000-0000-0000-000000000000",
        "value": [{"name": "payments-reader", **properties}],
    }
    return {f"identity-{one['clientId']}.json": json.dumps(one) for one in (managed, application)}


@contextmanager
def world(directory: Path) -> Iterator[World]:
    """Starts issuer, party, and the way to it by the vendor's name."""
    clock = Clock()
    with ExitStack() as stack:
        issuer = Issuer(URL, "RS256")
        keys, ca = stack.enter_context(served(issuer, directory / "issuer"))
        entra = stack.enter_context(party("entra", clock=clock, tenant=TENANT))
        entra.resolve(URL, f"https://127.0.0.1:{keys.port}", ca)
        entra.directory.apply(documents())
        proxy = Proxy(frozenset(entra.hosts), entra.port)
        proxy.start()
        stack.callback(proxy.close)
        yield World(entra, issuer, keys, clock, proxy)
