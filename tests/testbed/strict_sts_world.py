"""One account with one issuer, provider and role: the ground that the tests of the strict STS stand on."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from apostille_testbed.parties import party
from apostille_testbed.parties.aws import AWSParty
from apostille_testbed.parties.serving import Server
from testbed.strict_sts_issuer import Issuer, served

ACCOUNT = "123456789012"
HOST = "cluster-a.issuer.example"
ISSUER = f"https://{HOST}"
AUDIENCE = "sts.amazonaws.com"
SUBJECT = "system:serviceaccount:payments:reader"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/payments-reader"
PROVIDER_ARN = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{HOST}"


class Clock:
    """The machine's time plus ``ahead`` seconds."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@dataclass
class World:
    """What a test holds in hand."""

    aws: AWSParty
    issuer: Issuer
    keys: Server
    clock: Clock

    def token(self, subject: str = SUBJECT, audience: str | list[str] = AUDIENCE, **changes: Any) -> str:
        """A token of the issuer that the role accepts, with changes."""
        return self.issuer.token(subject, audience, **changes)


def provider(**changes: Any) -> dict[str, Any]:
    """The rendered OIDC provider."""
    return {"Url": ISSUER, "ClientIDList": [AUDIENCE]} | changes


def policy(condition: dict[str, Any] | None = None, host: str = HOST, **changes: Any) -> dict[str, Any]:
    """The rendered trust policy."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/{host}"},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": condition
        if condition is not None
        else {"StringEquals": {f"{host}:aud": AUDIENCE, f"{host}:sub": [SUBJECT]}},
    }
    return {"Version": "2012-10-17", "Statement": [statement | changes]}


def role(name: str = "payments-reader", **changes: Any) -> dict[str, Any]:
    """The rendered role."""
    good = {"RoleName": name, "Path": "/", "AssumeRolePolicyDocument": policy(), "MaxSessionDuration": 3600}
    return good | changes


@contextmanager
def world(directory: Path, algorithm: str = "ES256", **settings: Any) -> Iterator[World]:
    """Starts issuer and party, with provider and role applied."""
    clock = Clock()
    with ExitStack() as stack:
        issuer = Issuer(ISSUER, algorithm)
        keys, ca = stack.enter_context(served(issuer, directory / "issuer"))
        aws = stack.enter_context(party("aws", account=ACCOUNT, clock=clock, **settings))
        aws.resolve(ISSUER, f"https://127.0.0.1:{keys.port}", ca)
        aws.iam.apply_provider(provider())
        aws.iam.apply_role(role())
        yield World(aws, issuer, keys, clock)


@dataclass(frozen=True)
class Answer:
    """STS' reply."""

    status: int
    text: str

    @property
    def code(self) -> str:
        """``OK`` or the error's code."""
        return "OK" if self.status == 200 else self.element("Code")

    @property
    def message(self) -> str:
        """The error's message."""
        return self.element("Message")

    def element(self, name: str) -> str:
        """The text of an XML element."""
        found = re.search(f"<{name}>([^<]*)</{name}>", self.text)
        assert found, self.text
        return found[1]


def assume(aws: AWSParty, token: str, accept: str = "", **changes: str | None) -> Answer:
    """One AssumeRoleWithWebIdentity call, as botocore sends it; a change to None leaves a parameter out."""
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": ROLE,
        "RoleSessionName": "payments-reader",
        "WebIdentityToken": token,
    } | changes
    body = urlencode({name: value for name, value in form.items() if value is not None})
    headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    return call(aws, "POST", "/", body, headers | ({"Accept": accept} if accept else {}))


def call(aws: AWSParty, method: str, path: str, body: str = "", headers: dict[str, str] | None = None) -> Answer:
    """One HTTPS request to the party, with its CA verified."""
    context = ssl.create_default_context(cafile=str(aws.ca))
    connection = http.client.HTTPSConnection("127.0.0.1", aws.port, timeout=20, context=context)
    try:
        connection.request(method, path, body=body or None, headers=headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.read().decode())
    finally:
        connection.close()


def members(answer: Answer) -> Any:
    """A JSON reply's content."""
    return json.loads(answer.text)
