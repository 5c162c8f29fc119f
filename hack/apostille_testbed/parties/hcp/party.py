"""HCP's IAM on one loopback port: the exchange as the judge, and the caller's identity behind its tokens.

HCP documents what it checks and no error texts. Replies are those of its gRPC gateway: ``{code, message, details}``.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apostille_testbed.parties.assertions import Fault
from apostille_testbed.parties.hcp.conditions import Conditions
from apostille_testbed.parties.hcp.providers import Provider, Providers
from apostille_testbed.parties.judge import Judge
from apostille_testbed.parties.jws import Token
from apostille_testbed.parties.serving import Reply, Request

HOST = "api.cloud.hashicorp.com"
_API = "/2019-12-10/"
_EXCHANGE = "/exchange-token"
# Undocumented; those of OpenID Connect that a cluster signs with.
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "ES256", "ES384", "ES512"})
_LIFE = 3600  # seconds
# gRPC status codes (google.rpc.Code) and the HTTP status that the gateway makes of them.
_STATUS = {3: 400, 5: 404, 7: 403, 16: 401}
_INVALID_ARGUMENT, _NOT_FOUND, _DENIED, _UNAUTHENTICATED = 3, 5, 7, 16


@dataclass(frozen=True)
class Exchange:
    """One call of exchange-token. Subject and audience are as presented; ``code`` is ``OK`` or gRPC's number."""

    time: float
    code: str
    subject: str
    audience: tuple[str, ...]
    provider: str
    detail: str = ""


class _Refused(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class HCPParty(Judge):
    """HCP's API.

    Args:
        clock: seconds since the epoch.
        settings: those of `Judge`; leeway is undocumented, so none.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time, **settings: Any) -> None:
        super().__init__("hcp", [HOST], ALGORITHMS, clock, **settings)
        self._conditions = Conditions()
        self.providers = Providers(self._conditions)
        self._exchanges: list[Exchange] = []
        self._tokens: dict[str, tuple[str, float]] = {}

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Every exchange so far, oldest first, without tokens."""
        with self.lock:
            return tuple(self._exchanges)

    def close(self) -> None:
        """Stops for good, the evaluator too."""
        super().close()
        self._conditions.close()

    def answer(self, request: Request) -> Reply:
        """Dispatches by path."""
        try:
            if request.method == "POST" and request.path.startswith(_API) and request.path.endswith(_EXCHANGE):
                return self._exchange(request)
            if (request.method, request.path) == ("GET", "/iam/2019-12-10/caller-identity"):
                return self._caller(request)
            raise _Refused(_NOT_FOUND, "Not Found")
        except _Refused as refused:
            return _json(_STATUS[refused.code], {"code": refused.code, "message": refused.message, "details": []})

    def _exchange(self, request: Request) -> Reply:
        name = request.path.removeprefix(_API).removesuffix(_EXCHANGE)
        audience: tuple[str, ...] = ()
        subject, code, detail = "", "OK", ""
        try:
            compact = _body(request)
            provider = self.providers.find(name)
            if provider is None:
                raise _Refused(_NOT_FOUND, "workload identity provider not found")
            token = self._read(compact)
            subject, audience = token.subject, token.audiences
            self._judge(provider, token)
            return self._issue(provider, token)
        except _Refused as refused:
            code, detail = str(refused.code), refused.message
            raise
        finally:
            with self.lock:
                self._exchanges.append(Exchange(self.clock(), code, subject, audience, name, detail))

    def _read(self, compact: str) -> Token:
        try:
            return self.verifier.read(compact)
        except Fault as fault:
            raise _Refused(_INVALID_ARGUMENT, f"jwt_token is not a valid JWT: {fault.detail}") from None

    def _judge(self, provider: Provider, token: Token) -> None:
        """Issuer, key, signature, times, audience, statement (HCP docs: "Federate with other OIDC providers")."""
        if token.issuer != provider.issuer:
            raise _Refused(_UNAUTHENTICATED, "the issuer of the token is not the provider's")
        try:
            self.verifier.verify(token)
        except Fault as fault:
            raise _Refused(_UNAUTHENTICATED, f"failed to verify the token: {fault.detail}") from None
        if not set(provider.audiences) & set(token.audiences):
            raise _Refused(_UNAUTHENTICATED, "the audience of the token is not allowed")
        try:
            admitted = self._conditions.holds(provider.conditional_access, token.claims)
        except ValueError:
            # A statement about claims that the token has not is not true.
            admitted = False
        if not admitted:
            raise _Refused(_DENIED, "the conditional access statement does not hold")

    def _issue(self, provider: Provider, token: Token) -> Reply:
        issued, life = secrets.token_urlsafe(120), self.life(token.subject, _LIFE)
        with self.lock:
            self._tokens[issued] = (provider.principal, self.clock() + life)
        return _json(200, {"access_token": issued, "expires_in": life})

    def _caller(self, request: Request) -> Reply:
        scheme, _, presented = request.headers.get("Authorization", "").partition(" ")
        with self.lock:
            found = self._tokens.get(presented) if scheme == "Bearer" else None
        if found is None or found[1] <= self.clock():
            raise _Refused(_UNAUTHENTICATED, "the access token is invalid or has expired")
        name = found[0].rpartition("/")[2]
        service = {"id": name, "name": name, "resource_name": found[0]}
        return _json(200, {"principal": {"id": name, "type": "PRINCIPAL_TYPE_SERVICE", "service": service}})


def _body(request: Request) -> str:
    if request.headers.get("Content-Type", "").split(";")[0].strip().lower() != "application/json" or request.query:
        raise _Refused(_INVALID_ARGUMENT, "send JSON")
    try:
        document = json.loads(request.body)
    except ValueError:
        raise _Refused(_INVALID_ARGUMENT, "the body is not JSON") from None
    if not isinstance(document, dict) or set(document) != {"jwt_token"} or not isinstance(document["jwt_token"], str):
        raise _Refused(_INVALID_ARGUMENT, "jwt_token, and nothing else, is required")
    return document["jwt_token"]


def _json(status: int, document: Mapping[str, object]) -> Reply:
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/json"})
