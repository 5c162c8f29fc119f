"""The strict Google with one issuer and one provider: what its tests share."""

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
from apostille_testbed.parties.google import GoogleParty
from apostille_testbed.parties.proxy import Proxy
from apostille_testbed.parties.serving import Server
from testbed.negative_matrix import SUBJECT
from testbed.strict_sts_issuer import Issuer, served

URL = "https://cluster-a.issuer.example"
AUDIENCE = "https://gcp-prod.sts.example"
POOL = "projects/123456789012/locations/global/workloadIdentityPools/k8s-prod"
PROVIDER = f"{POOL}/providers/cluster-a"
READER = "reader@my-project.iam.gserviceaccount.com"
READER_FILE = f"service-account-{READER.replace('@', '_at_')}.json"
PRINCIPAL = f"principal://iam.googleapis.com/{POOL}/subject/{SUBJECT}"


class Clock:
    """The machine's time plus ``ahead`` seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass(frozen=True)
class Answer:
    """A reply; ``token`` is empty where Google refuses, ``code`` then its error."""

    status: int
    document: Any
    token: str = ""
    code: str = ""

    @property
    def message(self) -> str:
        """What it says of the error."""
        return str(self.document.get("error_description") or self.document["error"]["message"])


@dataclass
class World:
    """What a test holds in hand."""

    google: GoogleParty
    issuer: Issuer
    keys: Server
    clock: Clock
    proxy: Proxy

    def token(self, namespace: str = "payments", name: str = "reader", audience: Any = None, **changes: Any) -> str:
        """A token as the API server makes it, with changes."""
        claims = {"kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": f"uid-{name}"}}}
        subject = f"system:serviceaccount:{namespace}:{name}"
        return self.issuer.token(subject, [AUDIENCE] if audience is None else audience, **(claims | changes))

    def exchange(self, token: str, **changes: str | None) -> Answer:
        """One call of the Security Token Service; a change to None leaves a parameter out."""
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "audience": f"//iam.googleapis.com/{PROVIDER}",
            "scope": "https://www.googleapis.com/auth/cloud-platform",
            "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "subject_token": token,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        } | changes
        body = urlencode({name: value for name, value in form.items() if value is not None})
        status, document = self.call("/v1/token", body, {"Content-Type": "application/x-www-form-urlencoded"})
        return Answer(status, document, document.get("access_token", ""), document.get("error", ""))

    def impersonate(self, token: str, email: str = READER, **changes: Any) -> Answer:
        """One call of generateAccessToken."""
        body = json.dumps({"scope": ["https://www.googleapis.com/auth/cloud-platform"]} | changes)
        path = f"/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        status, document = self.call(path, body, headers)
        return Answer(status, document, document.get("accessToken", ""), document.get("error", {}).get("status", ""))

    def call(self, path: str, body: str, headers: Mapping[str, str], method: str = "POST") -> tuple[int, Any]:
        """One HTTPS request with the party's CA verified; the reply's JSON."""
        context = ssl.create_default_context(cafile=str(self.google.ca))
        connection = http.client.HTTPSConnection("127.0.0.1", self.google.port, timeout=20, context=context)
        try:
            connection.request(method, path, body=body, headers=dict(headers))
            response = connection.getresponse()
            content = response.read()
            return response.status, json.loads(content) if content else None
        finally:
            connection.close()


def documents(provider: Mapping[str, Any] | None = None, **oidc: Any) -> dict[str, str]:
    """Documents as somebody else writes them: the subject is the token's, one service account."""
    made = {
        "name": PROVIDER,
        "attributeMapping": {"google.subject": "assertion.sub"},
        "attributeCondition": f"assertion.sub == '{SUBJECT}'",
        "oidc": {"issuerUri": URL, "allowedAudiences": [AUDIENCE]} | oidc,
    } | dict(provider or {})
    members = {"bindings": [{"role": "roles/iam.workloadIdentityUser", "members": [PRINCIPAL]}]}
    return {
        "pool.json": json.dumps({"name": POOL}),
        "provider.json": json.dumps({key: value for key, value in made.items() if value is not None}),
        READER_FILE: json.dumps(members),
    }


@contextmanager
def world(directory: Path, algorithm: str = "ES256") -> Iterator[World]:
    """Starts issuer, party, and the way to it by the vendor's names."""
    clock = Clock()
    with ExitStack() as stack:
        issuer = Issuer(URL, algorithm)
        keys, ca = stack.enter_context(served(issuer, directory / "issuer"))
        google = stack.enter_context(party("google", clock=clock))
        google.resolve(URL, f"https://127.0.0.1:{keys.port}", ca)
        google.pools.apply(documents())
        proxy = Proxy(frozenset(google.hosts), google.port)
        proxy.start()
        stack.callback(proxy.close)
        yield World(google, issuer, keys, clock, proxy)
