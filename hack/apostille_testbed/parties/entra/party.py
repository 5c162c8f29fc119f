"""Entra's token endpoint on one loopback port, and of the resource manager one call behind its tokens.

Checks and codes: cloud-trust §5.5 and §18.4 item 3, from "Microsoft Entra authentication and authorization error codes"
and "Microsoft identity platform and OAuth 2.0 client credentials flow". Which of several faults is told first is not
documented.
"""

from __future__ import annotations

import json
import re
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from apostille_testbed.parties.assertions import Fault
from apostille_testbed.parties.entra.credentials import Directory, Identity
from apostille_testbed.parties.judge import Judge
from apostille_testbed.parties.jws import Token
from apostille_testbed.parties.serving import Reply, Request

HOST, MANAGEMENT = "login.microsoftonline.com", "management.azure.com"
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_SCOPE = re.compile(r"(https|api)://\S+/\.default")
# Parameters that MSAL adds to every request and that decide nothing.
_IGNORED = frozenset({"client_info", "x-client-sku", "x-client-ver", "x-client-os", "x-client-cpu"})
_APPLICATION_LIFE, _MANAGED_LIFE = 3599, 86399  # seconds


@dataclass(frozen=True)
class Exchange:
    """One call of the token endpoint. Subject and audience are as presented; ``code`` is ``OK`` or AADSTS' number."""

    time: float
    code: str
    subject: str
    audience: tuple[str, ...]
    client_id: str
    detail: str = ""


class _Refused(Exception):
    def __init__(self, code: int, error: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.error, self.message, self.status = code, error, message, status


class EntraParty(Judge):
    """One tenant.

    Args:
        tenant: its id.
        clock: seconds since the epoch.
        settings: those of `Judge`; Entra's leeway is not documented.
    """

    def __init__(
        self,
        *,
        tenant: str = "11111111-2222-3333-4444-555555555555",
        clock: Callable[[], float] = time.time,
        **settings: Any,
    ) -> None:
        # "Only RS256 is supported for tokens of external identity providers."
        super().__init__("entra", [HOST, MANAGEMENT], frozenset({"RS256"}), clock, **settings)
        self.directory = Directory(tenant)
        self._subscriptions: dict[str, list[str]] = {}
        self._exchanges: list[Exchange] = []
        self._tokens: dict[str, tuple[str, str, float]] = {}

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Every exchange so far, oldest first, without tokens."""
        with self.lock:
            return tuple(self._exchanges)

    def holder(self, token: str) -> tuple[str, str] | None:
        """(client id, scope) of an access token while it is good."""
        with self.lock:
            found = self._tokens.get(token)
        return found[:2] if found is not None and self.clock() < found[2] else None

    def permit(self, client_id: str, subscription: str) -> None:
        """Makes an identity a reader of a subscription, by its id."""
        with self.lock:
            self._subscriptions.setdefault(client_id, []).append(subscription)

    def answer(self, request: Request) -> Reply:
        """``POST /TENANT/oauth2/v2.0/token``, and of the resource manager ``GET /subscriptions``."""
        if (request.method, request.path) == ("GET", "/subscriptions"):
            return self._list(request)
        tenant, separator, rest = request.path.removeprefix("/").partition("/")
        if request.method != "POST" or not separator or rest != "oauth2/v2.0/token":
            return Reply(404)
        try:
            if tenant != self.directory.tenant:
                raise _Refused(90002, "invalid_request", f"Tenant '{tenant}' not found.")
            return self._exchange(request)
        except _Refused as refused:
            return _error(refused, self.clock())

    def _list(self, request: Request) -> Reply:
        """Subscriptions - List (Resource Manager REST reference): those that the caller may read."""
        scheme, _, presented = request.headers.get("Authorization", "").partition(" ")
        found = self.holder(presented) if scheme == "Bearer" else None
        if found is None or found[1] != f"https://{MANAGEMENT}/.default":
            code = "InvalidAuthenticationToken" if found is None else "InvalidAuthenticationTokenAudience"
            return _json(401, {"error": {"code": code, "message": "The access token is invalid."}})
        with self.lock:
            mine = self._subscriptions.get(found[0], [])
        return _json(200, {"value": [{"id": f"/subscriptions/{one}", "subscriptionId": one} for one in mine]})

    def _exchange(self, request: Request) -> Reply:
        audience: tuple[str, ...] = ()
        subject, client, code, detail = "", "", "OK", ""
        try:
            form = _form(request)
            client = form["client_id"]
            identity = self.directory.find(client)
            if identity is None:
                raise _Refused(
                    700016, "unauthorized_client",
                    f"Application with identifier '{client}' was not found in the directory.",
                )  # fmt: skip
            if not identity.credentials:
                raise _Refused(
                    70025, "invalid_client",
                    f"The client '{client}' has no configured federated identity credentials.", 401,
                )  # fmt: skip
            token = self._read(form["client_assertion"])
            subject, audience = token.subject, token.audiences
            _match(identity, token)
            self._verify(token)
            return self._issue(identity, form["scope"], subject)
        except _Refused as refused:
            code, detail = str(refused.code), refused.message
            raise
        finally:
            with self.lock:
                self._exchanges.append(Exchange(self.clock(), code, subject, audience, client, detail))

    def _read(self, compact: str) -> Token:
        try:
            return self.verifier.read(compact)
        except Fault as fault:
            raise _Refused(50027, "invalid_request", f"JWT token is invalid or malformed: {fault.detail}") from None

    def _verify(self, token: Token) -> None:
        """Key, signature, times."""
        try:
            self.verifier.verify(token)
        except Fault as fault:
            if fault.kind in ("expired", "early"):
                raise _Refused(
                    700024, "invalid_client", "Client assertion is not within its valid time range.", 401
                ) from None
            if fault.kind == "key" and "cannot be read" in fault.detail:
                raise _Refused(90061, "invalid_request", "Request to external OIDC endpoint failed.") from None
            raise _Refused(
                700027, "invalid_client", "The certificate with identifier used to sign the client assertion is not "
                f"registered on application, or the signature is invalid: {fault.kind}.", 401,
            ) from None  # fmt: skip

    def _issue(self, identity: Identity, scope: str, subject: str) -> Reply:
        life = self.life(subject, _APPLICATION_LIFE if identity.is_application else _MANAGED_LIFE)
        issued = f"eyJ0.{secrets.token_urlsafe(180)}.{secrets.token_urlsafe(60)}"
        with self.lock:
            self._tokens[issued] = (identity.client_id, scope, self.clock() + life)
        return _json(200, {"token_type": "Bearer", "expires_in": life, "ext_expires_in": life, "access_token": issued})


def _match(identity: Identity, token: Token) -> None:
    """Issuer, subject, audience of one credential, exactly and with regard to case."""
    code, what, value = 700211, "issuer", token.issuer
    mine = [one for one in identity.credentials if one.issuer == token.issuer]
    if mine:
        code, what, value = 700213, "subject", token.subject
        mine = [one for one in mine if one.subject == token.subject]
    if mine:
        code, what, value = 700212, "audience", ", ".join(token.audiences)
        # What becomes of a token with several audiences is not documented: this party takes none.
        mine = [one for one in mine if token.audiences == (one.audience,)]
    if not mine:
        raise _Refused(
            code, "invalid_client",
            f"No matching federated identity record found for presented assertion {what} '{value}'. Check your "
            f"federated identity credential Subject, Audience and Issuer against the presented assertion.", 401,
        )  # fmt: skip


def _form(request: Request) -> dict[str, str]:
    kind = request.headers.get("Content-Type", "").split(";")[0].strip().lower()
    try:
        pairs = parse_qsl(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=32)
    except ValueError:
        pairs = []
    form = dict(pairs)
    if kind != "application/x-www-form-urlencoded" or len(form) != len(pairs):
        raise _Refused(900144, "invalid_request", "The request body must be a form with each parameter once.")
    for name in ("grant_type", "client_id", "scope", "client_assertion_type", "client_assertion"):
        if not form.get(name):
            raise _Refused(900144, "invalid_request", f"The request body must contain the parameter: '{name}'.")
    if form["grant_type"] != "client_credentials":
        raise _Refused(70003, "unsupported_grant_type", "The app requested an unsupported grant type.")
    if form["client_assertion_type"] != _ASSERTION_TYPE:
        raise _Refused(50027, "invalid_request", "The client_assertion_type is not supported.")
    if not _SCOPE.fullmatch(form["scope"]):
        raise _Refused(
            1002012, "invalid_scope", f"The provided value for scope {form['scope']} is not valid. Client credential "
            "flows must have a scope value with /.default suffixed to the resource identifier.",
        )  # fmt: skip
    known = {"grant_type", "client_id", "scope", "client_assertion_type", "client_assertion"} | _IGNORED
    if unknown := sorted(set(form) - known):
        raise _Refused(90014, "invalid_request", f"{unknown[0]} is not served by this party")
    return form


def _error(refused: _Refused, now: float) -> Reply:
    told = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(now))
    trace, correlation = uuid.uuid4(), uuid.uuid4()
    return _json(
        refused.status,
        {
            "error": refused.error,
            "error_description": f"AADSTS{refused.code}: {refused.message} Trace ID: {trace} Correlation ID: "
            f"{correlation} Timestamp: {told}",
            "error_codes": [refused.code],
            "timestamp": told,
            "trace_id": str(trace),
            "correlation_id": str(correlation),
            "error_uri": f"https://{HOST}/error?code={refused.code}",
        },
    )


def _json(status: int, document: Mapping[str, object]) -> Reply:
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/json; charset=utf-8"})
