"""The strict judges of Databricks, HCP and Snowflake, each with one issuer and one identity: what their tests share."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from apostille_testbed.parties import party
from apostille_testbed.parties.serving import Server
from testbed.negative_matrix import SUBJECT
from testbed.strict_sts_issuer import Issuer, served

URL = "https://cluster-a.issuer.example"

ACCOUNT = "11111111-2222-3333-4444-555555555555"
APPLICATION = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
DATABRICKS_AUDIENCE = "https://dbc-a1b2345c-d6e7.cloud.databricks.com"

PRINCIPAL = "iam/project/99999999-8888-7777-6666-555555555555/service-principal/payments-reader"
PROVIDER = f"{PRINCIPAL}/workload-identity-provider/cluster-a"

SNOWFLAKE_AUDIENCE = "https://acme-prod.snowflakecomputing.com"


class Clock:
    """The machine's time plus ``ahead`` seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass(frozen=True)
class Answer:
    """A reply; ``credential`` is the party's, empty where it refuses, ``code`` then its error."""

    status: int
    document: Any
    credential: str = ""
    code: str = ""


@dataclass
class World:
    """What a test holds in hand."""

    name: str
    party: Any
    issuer: Issuer
    keys: Server
    clock: Clock
    audience: str

    def token(self, subject: str = SUBJECT, audience: Any = None, **changes: Any) -> str:
        """A token that the party accepts, with changes."""
        return self.issuer.token(subject, audience or [self.audience], **changes)

    def exchange(self, token: str, **changes: Any) -> Answer:
        """One exchange as the vendor documents it; ``changes`` replace what is sent beside the token."""
        return _EXCHANGES[self.name](self, token, changes)

    def call(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, Any]:
        """One HTTPS request to the party with its CA verified; the reply's JSON."""
        context = ssl.create_default_context(cafile=str(self.party.ca))
        connection = http.client.HTTPSConnection("127.0.0.1", self.party.port, timeout=20, context=context)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body=body or None, headers=named)
            response = connection.getresponse()
            content = response.read()
            return response.status, json.loads(content) if content else None
        finally:
            connection.close()


def policy(**changes: Any) -> dict[str, Any]:
    """A federation policy of Databricks."""
    oidc = {"issuer": URL, "audiences": [DATABRICKS_AUDIENCE], "subject": SUBJECT} | changes
    return {"oidc_policy": {name: value for name, value in oidc.items() if value is not None}}


def provider(statement: str = f"jwt_claims.sub == `{SUBJECT}`", **oidc: Any) -> dict[str, Any]:
    """A provider of HCP."""
    config = {"issuer_uri": URL} | oidc
    return {"name": "cluster-a", "provider": {"conditional_access": statement, "oidc_config": config}}


SQL = f"""
CREATE USER IF NOT EXISTS PAYMENTS_READER TYPE = SERVICE;
ALTER USER PAYMENTS_READER SET WORKLOAD_IDENTITY = (
  TYPE = OIDC ISSUER = '{URL}' SUBJECT = '{SUBJECT}' OIDC_AUDIENCE_LIST = ('{SNOWFLAKE_AUDIENCE}'));
"""


@contextmanager
def world(name: str, directory: Path, **settings: Any) -> Iterator[World]:
    """Starts issuer and party with one identity for `SUBJECT`."""
    clock = Clock()
    with ExitStack() as stack:
        # Cheap keys where the vendor takes them.
        issuer = Issuer(URL, "RS256" if name == "snowflake" else "ES256")
        keys, ca = stack.enter_context(served(issuer, directory / "issuer"))
        running: Any = stack.enter_context(party(name, clock=clock, **settings))
        running.resolve(URL, f"https://127.0.0.1:{keys.port}", ca)
        audience = ""
        if name == "databricks":
            running.policies.add_principal(7, APPLICATION)
            running.policies.create(7, "payments-reader", policy())
            audience = DATABRICKS_AUDIENCE
        elif name == "hcp":
            running.providers.create(PRINCIPAL, provider())
            audience = PROVIDER
        else:
            running.account.execute(SQL)
            audience = SNOWFLAKE_AUDIENCE
        yield World(name, running, issuer, keys, clock, audience)


def _databricks(at: World, token: str, changes: dict[str, Any]) -> Answer:
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "subject_token": token,
        "scope": "all-apis",
        "client_id": APPLICATION,
    } | changes
    body = urlencode({name: value for name, value in form.items() if value is not None})
    kind = "application/x-www-form-urlencoded"
    status, document = at.call("POST", "/oidc/v1/token", body, Content_Type=kind)
    return Answer(status, document, document.get("access_token", ""), document.get("error", ""))


def _hcp(at: World, token: str, changes: dict[str, Any]) -> Answer:
    name = changes.pop("provider", PROVIDER)
    body = json.dumps({"jwt_token": token} | changes)
    status, document = at.call("POST", f"/2019-12-10/{name}/exchange-token", body, Content_Type="application/json")
    return Answer(status, document, document.get("access_token", ""), str(document.get("code", "")))


def _snowflake(at: World, token: str, changes: dict[str, Any]) -> Answer:
    data = {"ACCOUNT_NAME": "acme-prod", "AUTHENTICATOR": "WORKLOAD_IDENTITY", "PROVIDER": "OIDC", "TOKEN": token}
    body = json.dumps({"data": data | changes})
    status, document = at.call("POST", "/session/v1/login-request?request_id=1", body, Content_Type="application/json")
    granted = document["data"] or {}
    return Answer(status, document, granted.get("token", ""), document["code"] or "")


_EXCHANGES = {"databricks": _databricks, "hcp": _hcp, "snowflake": _snowflake}
