"""One Alibaba Cloud account in one region: STS as the judge of AssumeRoleWithOIDC, and who one is (Sts 2015-04-01).

Codes and messages are those of the vendor's list (STS "Error codes") and of its page on RRSA. The order of the checks
is not documented; where several would refuse, a test asks for no particular one.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from apostille_testbed.parties.alibaba import policy
from apostille_testbed.parties.alibaba.ram import RAM, Provider, Role
from apostille_testbed.parties.alibaba.signature import signature
from apostille_testbed.parties.assertions import Fault
from apostille_testbed.parties.judge import Judge
from apostille_testbed.parties.jws import Token
from apostille_testbed.parties.serving import Reply, Request

# The list names "The algorithm HS256 … is unknown" as a fault, and no algorithm that is not one.
ALGORITHMS = frozenset({"RS256", "ES256"})
_SESSION_NAME = re.compile(r"[A-Za-z0-9.@_-]{2,64}")
_ASKED = frozenset(
    {"Action", "Version", "Format", "Timestamp", "SignatureNonce", "OIDCProviderArn", "RoleArn", "OIDCToken",
     "RoleSessionName", "DurationSeconds"}
)  # fmt: skip
_SIGNED = frozenset(
    {"Action", "Version", "Format", "Timestamp", "SignatureNonce", "SignatureMethod", "SignatureVersion", "AccessKeyId",
     "SecurityToken", "Signature"}
)  # fmt: skip
_SHORTEST = 900  # seconds of DurationSeconds
_OLDEST = 12 * 3600  # seconds since iat: IssuanceLimitTime, where none is set


@dataclass(frozen=True)
class Exchange:
    """One AssumeRoleWithOIDC call. Subject, audience and role are as presented: believe them only with ``OK``."""

    time: float
    code: str
    subject: str
    audience: tuple[str, ...]
    role: str
    detail: str = ""


@dataclass(frozen=True)
class _Session:
    role: str
    name: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    until: float


class _Refused(Exception):
    def __init__(self, status: int, code: str, message: str, detail: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message, self.detail = status, code, message, detail


class AlibabaParty(Judge):
    """STS of one account.

    Args:
        account: the account's number.
        region: decides its host name.
        clock: seconds since the epoch.
        settings: those of `Judge`; leeway is undocumented, so none.
    """

    def __init__(
        self,
        *,
        account: str = "1234567890123456",
        region: str = "eu-central-1",
        clock: Callable[[], float] = time.time,
        **settings: Any,
    ) -> None:
        super().__init__("alibaba", [f"sts.{region}.aliyuncs.com"], ALGORITHMS, clock, **settings)
        self.ram = RAM(account)
        self._account = account
        self._exchanges: list[Exchange] = []
        self._sessions: dict[str, _Session] = {}

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """Every call so far, oldest first, without tokens."""
        with self.lock:
            return tuple(self._exchanges)

    def session(self, access_key: str) -> str:
        """The ARN of the session that a key was given to; empty for one that was not given out."""
        with self.lock:
            found = self._sessions.get(access_key)
        return f"acs:ram::{self._account}:role/{found.role}/{found.name}" if found else ""

    def answer(self, request: Request) -> Reply:
        """An RPC of the gateway: parameters in the query or in a form."""
        try:
            given = _given(request)
            if given.get("Action") == "GetCallerIdentity":
                return self._caller(request.method, given)
        except _Refused as refused:
            return _error(refused)
        return self._exchange(given)

    def _caller(self, method: str, given: Mapping[str, str]) -> Reply:
        """GetCallerIdentity; codes are those of the vendor's list of common errors."""
        if set(given) != _SIGNED:
            raise _Refused(400, "InvalidParameter", "A parameter is missing, or is not served by this party.")
        with self.lock:
            found = self._sessions.get(given["AccessKeyId"])
        if found is None:
            raise _Refused(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        if not hmac.compare_digest(given["SecurityToken"], found.token):
            raise _Refused(400, "InvalidSecurityToken.MismatchWithAccessKey", "Specified SecurityToken mismatch.")
        if not hmac.compare_digest(given["Signature"], signature(method, given, found.secret)):
            raise _Refused(400, "SignatureDoesNotMatch", "Specified signature is not matched with our calculation.")
        if found.until <= self.clock():
            raise _Refused(400, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
        arn = f"acs:ram::{self._account}:assumed-role/{found.role}/{found.name}"
        identity = {"IdentityType": "AssumedRoleUser", "AccountId": self._account, "Arn": arn}
        return _json(200, {"RequestId": _id(), **identity})

    def _exchange(self, given: Mapping[str, str]) -> Reply:
        seen = {"subject": "", "role": ""}
        audience: tuple[str, ...] = ()
        code, detail = "OK", ""
        try:
            asked = _parameters(given)
            seen["role"] = asked["RoleArn"]
            token = self._read(asked["OIDCToken"])
            seen["subject"], audience = token.subject, token.audiences
            role = self._judge(token, asked)
            return self._issue(role, token, asked)
        except _Refused as refused:
            code, detail = refused.code, refused.detail or refused.message
            return _error(refused)
        finally:
            with self.lock:
                self._exchanges.append(Exchange(self.clock(), code, seen["subject"], audience, seen["role"], detail))

    def _read(self, compact: str) -> Token:
        if not compact:
            raise _invalid("The OIDCToken can not empty.")
        if compact.count(".") != 2:
            raise _invalid("The number of Jwt field should be divided into 3 parts with '.' .")
        try:
            return self.verifier.read(compact)
        except Fault as fault:
            raise _invalid("The Jwt content is invalid that cannot be recognized.", fault.detail) from None

    def _judge(self, token: Token, asked: Mapping[str, str]) -> Role:
        role = self.ram.role(asked["RoleArn"])
        if role is None:
            raise _Refused(404, "EntityNotExist.Role", f"The role not exists: {asked['RoleArn']}. ")
        provider = self.ram.provider(asked["OIDCProviderArn"])
        if provider is None:
            raise _Refused(401, "AuthenticationFail.NoPermission", "No such OIDC Provider registered.")
        self._authentic(token, provider)
        context = {"oidc:iss": (token.issuer,), "oidc:aud": tuple(token.audiences), "oidc:sub": (token.subject,)}
        if not policy.allowed(role.policy, provider.arn, context):
            raise _Refused(401, "AuthenticationFail.NoPermission", "There is no permission")
        return role

    def _authentic(self, token: Token, provider: Provider) -> None:
        fail = "AuthenticationFail.OIDCToken"
        if token.issuer != provider.issuer:
            raise _Refused(
                401, f"{fail}.IssuerNotMatch",
                "The issuer in the OIDC Token doesn't match the OIDC Provider registered.",
            )  # fmt: skip
        if not set(token.audiences) & set(provider.clients):
            raise _Refused(401, f"{fail}.AudienceNotMatch", "Invalid audience.")
        try:
            self.verifier.verify(token)
        except Fault as fault:
            algorithm = token.header.get("alg")
            code, message = {
                "algorithm": (
                    f"{fail}.Invalid", f"The algorithm {algorithm} that be specified in Jwt header is unknown.",
                ),
                "key": (
                    f"{fail}.IssuerConfigurationBroken",
                    f"Get public keys from OIDC Provider failed, the issuer is {token.issuer}.",
                ),
                "signature": (f"{fail}.InvalidSignature", "OIDC token validate failed: invalid signature."),
                "expired": (f"{fail}.Expired", "This JsonWebToken is expired."),
            }.get(fault.kind, (f"{fail}.Invalid", "The Jwt content is invalid that cannot be recognized."))  # fmt: skip
            raise _Refused(401, code, message, fault.detail) from None
        if token.claims.get("iat", self.clock()) < self.clock() - _OLDEST:
            raise _invalid("The Jwt content is invalid that cannot be recognized.", "issued too long ago")

    def _issue(self, role: Role, token: Token, asked: Mapping[str, str]) -> Reply:
        seconds = int(asked.get("DurationSeconds", "3600"))
        if not _SHORTEST <= seconds <= role.longest:
            raise _Refused(
                400, "InvalidParameter.DurationSeconds",
                f"The Min/Max value of DurationSeconds is {_SHORTEST}/{role.longest}.",
            )  # fmt: skip
        name = asked["RoleSessionName"]
        # STS. marks keys of sessions (Sts 2015-04-01, AssumeRoleWithOIDC).
        key = "STS." + base64.b32encode(secrets.token_bytes(15)).decode()
        session = _Session(
            role.name, name, secrets.token_urlsafe(33), base64.b64encode(secrets.token_bytes(360)).decode(),
            self.clock() + seconds,
        )  # fmt: skip
        with self.lock:
            self._sessions[key] = session
        return _json(
            200,
            {
                "RequestId": _id(),
                "OIDCTokenInfo": {
                    "Subject": token.subject, "Issuer": token.issuer, "ClientIds": ",".join(token.audiences),
                },
                "AssumedRoleUser": {
                    "AssumedRoleId": f"3{secrets.randbelow(10**17):017}:{name}", "Arn": self.session(key),
                },
                "Credentials": {
                    "AccessKeyId": key,
                    "AccessKeySecret": session.secret,
                    "SecurityToken": session.token,
                    "Expiration": datetime.fromtimestamp(session.until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                },
            },
        )  # fmt: skip


def _given(request: Request) -> dict[str, str]:
    if request.path != "/" or request.method not in ("GET", "POST"):
        raise _Refused(404, "InvalidAction.NotFound", "Specified api is not found, please check your url and method.")
    try:
        body = request.body.decode("ascii") if request.method == "POST" else ""
        pairs = [
            pair
            for text in (request.query, body)
            for pair in parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=32)
        ]
    except ValueError:
        raise _Refused(400, "InvalidParameter", "The specified parameter is not valid.") from None
    if len(given := dict(pairs)) != len(pairs):
        # The gateway is laxer, here and below; what asks for more than it gets must not pass a test.
        raise _Refused(400, "InvalidParameter", "A parameter is given twice.")
    return given


def _parameters(asked: Mapping[str, str]) -> dict[str, str]:
    if set(asked) - _ASKED:
        raise _Refused(400, "InvalidParameter", "A parameter is not served by this party.")
    if (asked.get("Action"), asked.get("Version")) != ("AssumeRoleWithOIDC", "2015-04-01"):
        raise _Refused(404, "InvalidAction.NotFound", "Specified api is not found, please check your url and method.")
    for name in ("OIDCProviderArn", "RoleArn", "RoleSessionName"):
        if not asked.get(name):
            raise _Refused(400, f"MissingParameter.{name}", f"The parameter {name} is missing.")
    if not _SESSION_NAME.fullmatch(asked["RoleSessionName"]):
        raise _Refused(400, "InvalidParameter.RoleSessionName", "The parameter RoleSessionName is wrongly formed.")
    if not asked.get("DurationSeconds", "3600").isdecimal():
        raise _Refused(400, "InvalidParameter.DurationSeconds", "The parameter DurationSeconds is wrongly formed.")
    return {"OIDCToken": "", **asked}


def _invalid(message: str, detail: str = "") -> _Refused:
    return _Refused(401, "AuthenticationFail.OIDCToken.Invalid", message, detail)


def _error(refused: _Refused) -> Reply:
    return _json(refused.status, {"RequestId": _id(), "Code": refused.code, "Message": refused.message})


def _id() -> str:
    return str(uuid.uuid4()).upper()


def _json(status: int, document: Mapping[str, object]) -> Reply:
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/json"})
