"""AWS STS AssumeRoleWithWebIdentity (API version 2011-06-15; cloud-trust §3.3): an unsigned POST, XML back."""

from __future__ import annotations

import re
from collections.abc import Mapping

from apostille_exchange import errors, instants
from apostille_exchange.credential import Credential
from apostille_exchange.errors import ExchangeError, quoted
from apostille_exchange.grants.grant import Ask, Grant
from apostille_exchange.grants.xml_members import members
from apostille_exchange.messages import Reply, Request
from apostille_exchange.recipe import RecipeError

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_RESULT = "AssumeRoleWithWebIdentityResult"
_XML = ("text/xml", "application/xml")
_ROLE = re.compile(r"arn:(aws[a-z-]*):iam::([0-9]{12}):role/(?:[!-~]*/)?([\w+=,.@-]{1,64})", re.ASCII)
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
# What may stand in a credentials file; STS promises no alphabet for the token.
_ACCESS_KEY = re.compile(r"\w{16,128}", re.ASCII)
_SECRET = re.compile(r"[!-~]{1,16384}")

# Code → (reason, permanent). AccessDenied does not say whether role, subject or audience was wrong (cloud-trust §3.3).
_CODES = {
    "AccessDenied": (errors.CONDITION_REJECTED, True),
    "IDPRejectedClaim": (errors.CONDITION_REJECTED, True),
    "ExpiredTokenException": (errors.TOKEN_EXPIRED, True),
    "IDPCommunicationError": (errors.KEY_UNAVAILABLE, False),
    "ValidationError": (errors.MISCONFIGURED, True),
    "MalformedPolicyDocument": (errors.MISCONFIGURED, True),
    "PackedPolicyTooLarge": (errors.MISCONFIGURED, True),
    "RegionDisabledException": (errors.MISCONFIGURED, True),
    # botocore's throttling codes (retries/standard.py)
    "Throttling": (errors.RATE_LIMITED, False),
    "ThrottlingException": (errors.RATE_LIMITED, False),
    "ThrottledException": (errors.RATE_LIMITED, False),
    "RequestThrottled": (errors.RATE_LIMITED, False),
    "RequestThrottledException": (errors.RATE_LIMITED, False),
    "TooManyRequestsException": (errors.RATE_LIMITED, False),
    "RequestLimitExceeded": (errors.RATE_LIMITED, False),
    "SlowDown": (errors.RATE_LIMITED, False),
    "RequestTimeout": (errors.UNAVAILABLE, False),
    "RequestTimeoutException": (errors.UNAVAILABLE, False),
}
# InvalidIdentityToken by its message; only the key look-up may succeed when asked again.
_INVALID_TOKEN = (
    ("No OpenIDConnect provider", errors.ISSUER_UNKNOWN, True),
    ("Incorrect token audience", errors.AUDIENCE_MISMATCH, True),
    ("Couldn't retrieve verification key", errors.KEY_UNAVAILABLE, False),
    ("signature", errors.SIGNATURE_INVALID, True),
)


class AWSWebIdentity(Grant):
    """Parameters: ``roleARN``, ``roleSessionName``."""

    yields = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    shortest_seconds = 900

    def check(self, parameters: Mapping[str, str], where: str) -> None:
        """STS' own constraints (botocore's model of sts 2011-06-15)."""
        if not _ROLE.fullmatch(parameters.get("roleARN", "")):
            raise RecipeError(f"{where}.roleARN: must be the ARN of an IAM role")
        if not _SESSION_NAME.fullmatch(parameters.get("roleSessionName", "")):
            raise RecipeError(f"{where}.roleSessionName: must be 2 to 64 of letters, digits and _+=,.@-")
        if unknown := sorted(set(parameters) - {"roleARN", "roleSessionName"}):
            raise RecipeError(f"{where}.{unknown[0]}: not known to this version")

    def request(self, ask: Ask) -> Request:
        """The request of the Query API."""
        return Request(
            ask.site.endpoint,
            {
                "Action": "AssumeRoleWithWebIdentity",
                "Version": "2011-06-15",
                "RoleArn": ask.parameters["roleARN"],
                "RoleSessionName": ask.parameters["roleSessionName"],
                "DurationSeconds": str(ask.session_seconds),
                "WebIdentityToken": ask.assertion.token,
            },
        )

    def read(self, reply: Reply, ask: Ask) -> Credential:
        """Values: ``AccessKeyId``, ``SecretAccessKey``, ``SessionToken``."""
        audience, assertion = ask.site.admission.audience, ask.assertion
        if reply.status != 200:
            raise _refusal(reply, assertion.token)
        if reply.media_type not in _XML:
            raise ExchangeError(errors.BAD_REPLY, "the reply is not XML", status=reply.status)
        try:
            found = members(reply.body, "AssumeRoleWithWebIdentityResponse", _NAMESPACE)
            expires = instants.seconds(found[f"{_RESULT}/Credentials/Expiration"])
            values = {
                name: found[f"{_RESULT}/Credentials/{name}"]
                for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")
            }
            role = found[f"{_RESULT}/AssumedRoleUser/Arn"]
        except KeyError as error:
            missing = str(error.args[0]).rpartition("/")[2]
            raise ExchangeError(errors.BAD_REPLY, f"the reply has no {missing}", status=reply.status) from None
        except ValueError as error:
            # Own messages and those of fromisoformat, which quotes nothing but the instant.
            raise ExchangeError(errors.BAD_REPLY, f"the reply is {quoted(str(error), assertion.token)}") from None
        if role != _session(ask.parameters):
            raise ExchangeError(errors.BAD_REPLY, "the reply is for another role than the one that was asked for")
        if found.get(f"{_RESULT}/Audience", audience) != audience:
            raise ExchangeError(errors.BAD_REPLY, "the reply is for another audience than the assertion's")
        if found.get(f"{_RESULT}/SubjectFromWebIdentityToken", assertion.subject) != assertion.subject:
            raise ExchangeError(errors.BAD_REPLY, "the reply is for another subject than the assertion's")
        if not _ACCESS_KEY.fullmatch(values["AccessKeyId"]) or not all(map(_SECRET.fullmatch, values.values())):
            raise ExchangeError(errors.BAD_REPLY, "the reply holds no AWS credential")
        return Credential(values, expires, values["AccessKeyId"])


def _session(parameters: Mapping[str, str]) -> str:
    """The ARN of the session that was asked for; a role's path is no part of it (IAM "Identifiers")."""
    match = _ROLE.fullmatch(parameters["roleARN"])
    assert match is not None  # noqa: S101 - `check` went before
    partition, account, name = match.groups()
    return f"arn:{partition}:sts::{account}:assumed-role/{name}/{parameters['roleSessionName']}"


def _refusal(reply: Reply, assertion: str) -> ExchangeError:
    try:
        found = members(reply.body, "ErrorResponse", _NAMESPACE) if reply.media_type in _XML else {}
    except ValueError:
        found = {}
    code, message = found.get("Error/Code", ""), found.get("Error/Message", "")
    reason, permanent = _reason(reply.status, code, message)
    return ExchangeError(
        reason,
        quoted(message, assertion),
        permanent=permanent,
        code=quoted(code, assertion)[:64],
        status=reply.status,
    )


def _reason(status: int, code: str, message: str) -> tuple[str, bool]:
    if code == "InvalidIdentityToken":
        for part, reason, permanent in _INVALID_TOKEN:
            if part in message:
                return reason, permanent
    if code in _CODES:
        return _CODES[code]
    if status == 429:
        return errors.RATE_LIMITED, False
    if status >= 500:
        return errors.UNAVAILABLE, False
    return errors.UNKNOWN, True
