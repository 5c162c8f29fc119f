"""One Snowflake account on one loopback port: the login as the judge, and a session that says who it is.

A refused login is answered with one code and one text whatever the cause; what was wrong stands in LOGIN_HISTORY, here
`Login.detail`. Snowflake publishes neither texts nor an order of the checks for workload identities.
"""

from __future__ import annotations

import gzip
import json
import re
import secrets
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apostille_testbed.parties.assertions import Fault
from apostille_testbed.parties.judge import Judge
from apostille_testbed.parties.serving import Reply, Request
from apostille_testbed.parties.snowflake.account import Account, Policy, User

ALGORITHMS = frozenset({"RS256"})  # cloud-trust §2; others are not documented
_LIFE = 3600  # seconds of a session token (Snowflake drivers' "validityInSeconds")
# "JWT token is invalid" (Snowflake "Key-pair authentication and key-pair rotation: troubleshooting").
_REFUSED = "390144"
_GONE = "390111"  # session no longer exists; drivers know the number


@dataclass(frozen=True)
class Login:
    """One login with a workload identity, as LOGIN_HISTORY would have it; claims as presented."""

    time: float
    code: str
    subject: str
    audience: tuple[str, ...]
    user: str
    detail: str = ""


class _Refused(Exception):
    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class SnowflakeParty(Judge):
    """One account.

    Args:
        account: the account's identifier, ``ORGANISATION-ACCOUNT``.
        clock: seconds since the epoch.
        settings: those of `Judge`; leeway is undocumented, so none.
    """

    def __init__(self, *, account: str = "acme-prod", clock: Callable[[], float] = time.time, **settings: Any) -> None:
        super().__init__("snowflake", [f"{account}.snowflakecomputing.com".lower()], ALGORITHMS, clock, **settings)
        self._name = account
        self.account = Account()
        self._logins: list[Login] = []
        self._sessions: dict[str, tuple[str, float]] = {}

    @property
    def logins(self) -> tuple[Login, ...]:
        """Every login so far, oldest first, without tokens."""
        with self.lock:
            return tuple(self._logins)

    def answer(self, request: Request) -> Reply:
        """Dispatches by path."""
        match request.method, request.path:
            case "POST", "/session/v1/login-request":
                return _json(self._login(_body(request)))
            case "POST", "/queries/v1/query-request":
                return _json(self._query(request, _body(request)))
            case "POST", "/session" | "/telemetry/send" | "/session/heartbeat":
                return _json({"data": None, "success": True, "code": None, "message": None})
        return Reply(404)

    def _login(self, body: Mapping[str, Any]) -> dict[str, Any]:
        data = body.get("data")
        data = data if isinstance(data, Mapping) else {}
        seen: dict[str, Any] = {"subject": "", "audience": (), "user": ""}
        code, detail = "OK", ""
        try:
            user = self._judge(data, seen)
            return self._session(user)
        except _Refused as refused:
            code, detail = _REFUSED, refused.detail
            return {"data": None, "success": False, "code": _REFUSED, "message": "JWT token is invalid."}
        finally:
            with self.lock:
                self._logins.append(Login(time=self.clock(), code=code, detail=detail, **seen))

    def _judge(self, data: Mapping[str, Any], seen: dict[str, Any]) -> User:
        """Account, provider, token, identity, key, signature, times, audience, user, policy."""
        if str(data.get("ACCOUNT_NAME", "")).lower() != self._name.lower():
            raise _Refused(f"the account is {self._name}")
        if data.get("AUTHENTICATOR") != "WORKLOAD_IDENTITY" or data.get("PROVIDER") != "OIDC":
            raise _Refused("this party knows workload identities of OIDC")
        try:
            token = self.verifier.read(str(data.get("TOKEN", "")))
            seen["subject"], seen["audience"] = token.subject, token.audiences
            found = self.account.find(token.issuer, token.subject)
            if found is None:
                raise _Refused("no user has this issuer and subject")
            user, identity = found
            self.verifier.verify(token)
        except Fault as fault:
            raise _Refused(str(fault)) from None
        if not set(identity.audiences) & set(token.audiences):
            raise _Refused("the audience is not one of OIDC_AUDIENCE_LIST")
        seen["user"] = user.name
        # A login name is optional, as the token says who it is; a wrong one is refused.
        if (wanted := str(data.get("LOGIN_NAME") or "")) and wanted.upper() != user.name:
            raise _Refused(f"the identity is of user {user.name}")
        self._admit(self.account.policies.get(user.policy), token.issuer)
        return user

    def _admit(self, policy: Policy | None, issuer: str) -> None:
        """CREATE AUTHENTICATION POLICY: each list restricts, ALL does not."""
        if policy is None:
            return
        wanted = {"method": (policy.methods, "WORKLOAD_IDENTITY"), "provider": (policy.providers, "OIDC"),
                  "issuer": (policy.issuers, issuer)}  # fmt: skip
        for what, (allowed, value) in wanted.items():
            if not {"ALL", value} & allowed:
                raise _Refused(f"the authentication policy does not allow the {what}")

    def _session(self, user: User) -> dict[str, Any]:
        issued, master = secrets.token_urlsafe(120), secrets.token_urlsafe(120)
        with self.lock:
            self._sessions[issued] = (user.name, self.clock() + _LIFE)
        info = {"databaseName": None, "schemaName": None, "warehouseName": None, "roleName": "PUBLIC"}
        data = {
            "token": issued,
            "masterToken": master,
            "validityInSeconds": _LIFE,
            "masterValidityInSeconds": 4 * _LIFE,
            "displayUserName": user.name,
            "serverVersion": "9.38.0",
            "sessionId": secrets.randbelow(1 << 40),
            "sessionInfo": info,
            "parameters": [],
        }
        return {"data": data, "success": True, "code": None, "message": None}

    def _query(self, request: Request, body: Mapping[str, Any]) -> dict[str, Any]:
        match = re.fullmatch(r'Snowflake Token="([^"]+)"', request.headers.get("Authorization", ""))
        with self.lock:
            found = self._sessions.get(match[1]) if match else None
        if found is None or found[1] <= self.clock():
            return {"data": None, "success": False, "code": _GONE, "message": "Session no longer exists."}
        if str(body.get("sqlText", "")).strip().rstrip(";").lower() != "select current_user()":
            return {"data": {"queryId": "", "sqlState": "42601"}, "success": False, "code": "001003",
                    "message": "SQL compilation error: this party knows one query"}  # fmt: skip
        column = {"name": "CURRENT_USER()", "type": "text", "nullable": True, "length": 256, "byteLength": 1024,
                  "precision": None, "scale": None, "database": "", "schema": "", "table": ""}  # fmt: skip
        data = {
            "parameters": [],
            "rowtype": [column],
            "rowset": [[found[0]]],
            "total": 1,
            "returned": 1,
            "queryId": "01b2c3d4-0000-0000-0000-000000000001",
            "queryResultFormat": "json",
            "statementTypeId": 4096,
            "version": 1,
            "finalDatabaseName": None,
            "finalSchemaName": None,
            "finalWarehouseName": None,
            "finalRoleName": "PUBLIC",
            "numberOfBinds": 0,
            "arrayBindSupported": False,
        }
        return {"data": data, "success": True, "code": None, "message": None}


def _body(request: Request) -> Mapping[str, Any]:
    raw = request.body
    try:
        if request.headers.get("Content-Encoding", "") == "gzip":
            raw = gzip.decompress(raw)
        document = json.loads(raw)
    except (OSError, EOFError, ValueError, zlib.error):
        return {}
    return document if isinstance(document, dict) else {}


def _json(document: Mapping[str, Any]) -> Reply:
    # Refusals are 200 as well; ``success`` says which (Snowflake drivers).
    return Reply(200, json.dumps(document).encode(), {"Content-Type": "application/json"})
