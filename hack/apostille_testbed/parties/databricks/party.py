"""One Databricks workspace: discovery, the token endpoint as the judge, and an API behind the tokens it issues.

Databricks documents what it checks and no error texts. ``TOKEN_INVALID`` is as users quote it, which says the same of
every mismatch but the audience's; ``TOKEN_AUDIENCE_INVALID`` is known by name and by what it tells, not by its words.
What no user quotes goes by OAuth's codes (RFC 8693 §2.2.2, RFC 6749 §5.2).
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from apostille_testbed.parties.assertions import Fault
from apostille_testbed.parties.databricks.policies import Policies, Principal
from apostille_testbed.parties.judge import Judge
from apostille_testbed.parties.jws import Token
from apostille_testbed.parties.serving import Reply, Request

ALGORITHMS = frozenset({"RS256", "ES256"})  # docs: "Authenticate with an identity provider token"
_GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
_JWT = "urn:ietf:params:oauth:token-type:jwt"
_LIFE = 3600  # seconds; an hour, and never beyond the federated token (cloud-trust §2)
_PARAMETERS = frozenset({"grant_type", "subject_token", "subject_token_type", "scope", "client_id"})


@dataclass(frozen=True)
class Exchange:
    """One call of the token endpoint. Subject, audience and client are as presented: believe them only with ``OK``."""

    time: float
    code: str
    subject: str
    audience: tuple[str, ...]
    client: str
    detail: str = ""


class _Refused(Exception):
    def __init__(self, status: int, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.status, self.code, self.description = status, code, description


class DatabricksParty(Judge):
    """A workspace of one account, on one loopback port.

    Args:
        account_id: the account's UUID, the audience of policies that name none.
        host: the vendor's host name that its certificate is also valid for.
        clock: seconds since the epoch.
        settings: those of `Judge`; leeway is undocumented, so none.
    """

    def __init__(
        self,
        *,
        account_id: str = "11111111-2222-3333-4444-555555555555",
        host: str = "dbc-a1b2345c-d6e7.cloud.databricks.com",
        clock: Callable[[], float] = time.time,
        **settings: Any,
    ) -> None:
        super().__init__("databricks", [host], ALGORITHMS, clock, **settings)
        self.policies = Policies(account_id)
        self._exchanges: list[Exchange] = []
        self._tokens: dict[str, tuple[Principal, float]] = {}

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Every call of the token endpoint so far, oldest first, without tokens."""
        with self.lock:
            return tuple(self._exchanges)

    def answer(self, request: Request) -> Reply:
        """Dispatches by path."""
        base = f"https://{request.headers.get('Host', '')}"
        match request.method, request.path:
            # databricks-sdk reads both before it exchanges (cloud-trust §18.2).
            case "GET", "/.well-known/databricks-config":
                return _json(200, {"oidc_endpoint": f"{base}/oidc", "account_id": self.policies.account_id,
                                   "workspace_id": "1234567890123456"})  # fmt: skip
            case "GET", "/oidc/.well-known/oauth-authorization-server":
                return _json(200, {"issuer": f"{base}/oidc", "authorization_endpoint": f"{base}/oidc/v1/authorize",
                                   "token_endpoint": f"{base}/oidc/v1/token"})  # fmt: skip
            case "POST", "/oidc/v1/token":
                return self._token(request)
            case "GET", "/api/2.0/preview/scim/v2/Me":
                return self._me(request)
        return _json(404, {"error_code": "ENDPOINT_NOT_FOUND", "message": "no such endpoint"})

    def _token(self, request: Request) -> Reply:
        seen = {"subject": "", "client": ""}
        audience: tuple[str, ...] = ()
        code, detail = "OK", ""
        try:
            form = _form(request)
            seen["client"] = form.get("client_id", "")
            token = self._read(form["subject_token"])
            seen["subject"], audience = token.subject, token.audiences
            principal = self._judge(token, seen["client"])
            return self._issue(principal, token)
        except _Refused as refused:
            code, detail = refused.code, refused.description
            return _json(refused.status, {"error": refused.code, "error_description": refused.description})
        finally:
            with self.lock:
                self._exchanges.append(Exchange(self.clock(), code, seen["subject"], audience, seen["client"], detail))

    def _read(self, compact: str) -> Token:
        try:
            return self.verifier.read(compact)
        except Fault as fault:
            raise _invalid(f"The subject token is not a valid JWT ({fault.detail})") from None

    def _judge(self, token: Token, client_id: str) -> Principal:
        """Client, issuer, key, signature, times, audience, subject (docs: "Configure a federation policy")."""
        # Without a client id it is account-wide federation, for which this account has no policy.
        principal = self.policies.principal(client_id) if client_id else None
        if principal is None:
            raise _Refused(401, "invalid_client", "The service principal does not exist in this account")
        mine = [policy for policy in self.policies.of(principal) if policy.issuer == token.issuer]
        if not mine:
            raise _unmatched(token)
        try:
            self.verifier.verify(token)
        except Fault:
            raise _unmatched(token) from None
        # "at least one audience" of the token has to be one of the policy's.
        accepted = {audience for policy in mine for audience in policy.audiences}
        mine = [policy for policy in mine if set(policy.audiences) & set(token.audiences)]
        if not mine:
            raise _Refused(
                400, "invalid_grant",
                f"Failed to process token: TOKEN_AUDIENCE_INVALID (presented: {', '.join(token.audiences)}, accepted: "
                f"{', '.join(sorted(accepted))})",
            )  # fmt: skip
        if not any(token.claims.get(policy.subject_claim) == policy.subject for policy in mine):
            raise _unmatched(token)
        return principal

    def _issue(self, principal: Principal, token: Token) -> Reply:
        now = self.clock()
        seconds = int(min(self.life(token.subject, _LIFE), token.claims["exp"] - now))
        issued = secrets.token_urlsafe(120)
        with self.lock:
            self._tokens[issued] = (principal, now + seconds)
        body = {"access_token": issued, "token_type": "Bearer", "scope": "all-apis", "expires_in": seconds}
        # RFC 6749 §5.1.
        return _json(200, body, {"Cache-Control": "no-store"})

    def _me(self, request: Request) -> Reply:
        scheme, _, presented = request.headers.get("Authorization", "").partition(" ")
        with self.lock:
            found = self._tokens.get(presented) if scheme.lower() == "bearer" else None
        if found is None or found[1] <= self.clock():
            return _json(401, {"error_code": "UNAUTHENTICATED", "message": "Credential was not sent or was of an "
                               "unsupported type for this API."})  # fmt: skip
        principal, _ = found
        return _json(200, {"id": str(principal.id), "userName": principal.application_id, "active": True})


def _form(request: Request) -> dict[str, str]:
    kind = request.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded" or request.query:
        raise _invalid("Send a form")
    try:
        pairs = parse_qsl(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=32)
    except ValueError:
        raise _invalid("The body is not a form") from None
    form = dict(pairs)
    # RFC 6749 §3.2: parameters must not be given twice.
    if len(form) != len(pairs):
        raise _invalid("A parameter is given twice")
    if unknown := sorted(set(form) - _PARAMETERS):
        # RFC 6749 says to ignore it; an exchange that asks for more than it gets must not pass a test.
        raise _invalid(f"This party does not serve the parameter {unknown[0]}")
    if form.get("grant_type") != _GRANT:
        raise _Refused(400, "unsupported_grant_type", "Only token exchange is served")
    if form.get("subject_token_type") != _JWT or not form.get("subject_token"):
        raise _invalid("subject_token and its type are required")
    if form.get("scope") != "all-apis":
        raise _Refused(400, "invalid_scope", "The scope is all-apis")
    return form


def _unmatched(token: Token) -> _Refused:
    wanted = f"{{issuer: '{token.issuer}', subject: '{token.subject}', audience: '{', '.join(token.audiences)}'}}"
    return _Refused(
        400, "invalid_grant",
        "Failed to process token: TOKEN_INVALID (Ensure a valid federation policy has been configured). "
        f"Valid federation policy for provided token: {wanted}",
    )  # fmt: skip


def _invalid(description: str) -> _Refused:
    # RFC 8693 §2.2.2: a subject token that is invalid or unacceptable.
    return _Refused(400, "invalid_request", description)


def _json(status: int, document: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/json", **(headers or {})})
