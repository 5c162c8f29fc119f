"""STS: AssumeRoleWithWebIdentity judged in the vendor's order, and GetCallerIdentity (API version 2011-06-15)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from apostille_testbed.parties.aws import jwt_check, wire
from apostille_testbed.parties.aws.caller import Caller
from apostille_testbed.parties.aws.errors import Refused, invalid_token
from apostille_testbed.parties.aws.iam import IAM, Role
from apostille_testbed.parties.aws.policy import permits
from apostille_testbed.parties.aws.sessions import Session, Sessions
from apostille_testbed.parties.keys import KeySource, NoKey
from apostille_testbed.parties.serving import Reply, Request

VERSION = "2011-06-15"
_SESSION_NAME = r"[\w+=,.@-]*"
_ROLE_ARN = re.compile(r"arn:[a-z-]+:iam::(?P<account>\d{12}):role/[\w+=,.@/!-~-]+", re.ASCII)
_PARAMETERS = frozenset(
    {
        "Action",
        "Version",
        "RoleArn",
        "RoleSessionName",
        "WebIdentityToken",
        "DurationSeconds",
        "MinimumSessionTokenSize",
    }
)


@dataclass
class Attempt:
    """What is known of one exchange, whether it succeeds or not. Claims are recorded as presented, verified or not."""

    subject: str = ""
    audience: tuple[str, ...] = ()
    role: str = ""


class TokenService:
    """Judges exchanges by the account's IAM state; ``clock`` gives seconds since the epoch."""

    def __init__(
        self, iam: IAM, keys: KeySource, sessions: Sessions, caller: Caller, clock: Callable[[], float], leeway: int
    ) -> None:
        self._iam = iam
        self._keys = keys
        self._sessions = sessions
        self._caller = caller
        self._clock = clock
        self._leeway = leeway

    def answer(self, request: Request, form: Mapping[str, str], attempt: Attempt) -> Reply:
        """Answers one Query API call; ``attempt`` learns of an exchange what can be known. Raises Refused."""
        action, version = form.get("Action"), form.get("Version")
        if action is None:
            raise Refused("MissingAction", "Request must contain Action")
        if version != VERSION or action not in ("AssumeRoleWithWebIdentity", "GetCallerIdentity"):
            raise Refused("InvalidAction", f"Could not find operation {action} for version {version}")
        if action == "GetCallerIdentity":
            return wire.sts_reply(request, action, self._identity(request))
        return wire.sts_reply(request, action, self._exchange(form, attempt))

    def _identity(self, request: Request) -> dict[str, object]:
        session = self._caller.sts(request)
        return {"Arn": session.arn, "UserId": f"{session.role_id}:{session.name}", "Account": self._iam.account}

    def _exchange(self, form: Mapping[str, str], attempt: Attempt) -> dict[str, object]:
        attempt.role = form.get("RoleArn", "")
        seconds = _check_parameters(form)
        token = jwt_check.parse(form["WebIdentityToken"])
        attempt.subject, attempt.audience = token.subject, token.audiences
        self._verify(token, form["RoleArn"])
        role = self._authorize(token, form["RoleArn"], form["RoleSessionName"])
        if seconds > role.max_session_seconds:
            raise _invalid(
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role "
                f"({role.max_session_seconds} seconds)"
            )
        session = self._sessions.issue(role, form["RoleSessionName"], int(self._clock()) + seconds)
        return _granted(session, token)

    def _verify(self, token: jwt_check.Token, role_arn: str) -> None:
        """Issuer, key, signature, times, audience: the order of cloud-trust §18.4 item 1."""
        account = _ROLE_ARN.fullmatch(role_arn)
        provider = self._iam.provider_for(token.issuer)
        # The provider is looked for in the account of the *role*; this party is only one account.
        if provider is None or account is None or account["account"] != self._iam.account:
            raise invalid_token(f"No OpenIDConnect provider found in your account for {token.issuer}")
        algorithm, kid = jwt_check.key_id(token)
        try:
            keys = self._keys.find(token.issuer, kid)
        except NoKey as error:
            raise jwt_check.no_key() from error.__cause__
        jwt_check.verify(token, algorithm, keys)
        jwt_check.check_times(token, self._clock(), self._leeway)
        # One registered audience is enough (cloud-trust §2); the policy sees all of them.
        if not set(token.audiences) & set(provider.client_ids):
            raise invalid_token("Incorrect token audience")

    def _authorize(self, token: jwt_check.Token, role_arn: str, session_name: str) -> Role:
        role = self._iam.role_by_arn(role_arn)
        provider = self._iam.provider_for(token.issuer)
        # One answer for "no such role", "wrong subject" and "wrong audience": nobody learns which (cloud-trust §3.3).
        if (
            role is None
            or provider is None
            or not permits(role.policy, provider.arn, token.claims, {"sts:RoleSessionName": [session_name]})
        ):
            raise Refused("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403)
        return role


def read_form(request: Request) -> dict[str, str]:
    """The Query API's form of a POST request. Raises Refused."""
    kind = request.headers.get("Content-Type", "").split(";")[0].strip().lower()
    if request.method != "POST" or kind != "application/x-www-form-urlencoded" or request.query:
        # STS also takes GET; a token in a URL ends in logs, so this party does not.
        raise Refused("MissingAction", "Send a POST with an application/x-www-form-urlencoded body")
    try:
        pairs = parse_qsl(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=64)
    except ValueError:
        raise Refused("MalformedQueryString", "The body is not a form") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise Refused("MalformedQueryString", "A parameter is given twice")
    return form


def _check_parameters(form: Mapping[str, str]) -> int:
    """STS' parameter constraints (botocore's model of sts 2011-06-15); returns the duration in seconds."""
    if unknown := sorted(set(form) - _PARAMETERS):
        # Policy and PolicyArns would narrow the session, ProviderId is for OAuth 2.0 only: none may be ignored.
        raise _invalid(f"This party does not serve the parameters {', '.join(unknown)}")
    _length(form, "RoleArn", 20, 2048)
    _length(form, "RoleSessionName", 2, 64)
    _length(form, "WebIdentityToken", 4, 20000)
    if not re.fullmatch(_SESSION_NAME, form["RoleSessionName"], re.ASCII):
        raise _constraint("roleSessionName", f"satisfy regular expression pattern: {_SESSION_NAME}")
    if not _ROLE_ARN.fullmatch(form["RoleArn"]):
        raise _invalid(f"{form['RoleArn']} is invalid")
    duration = form.get("DurationSeconds", "3600")
    if not re.fullmatch(r"\d{1,9}", duration, re.ASCII):
        raise Refused("MalformedInput", "DurationSeconds is not an integer")
    if int(duration) < 900:
        raise _constraint("durationSeconds", "have value greater than or equal to 900")
    if int(duration) > 43200:
        raise _constraint("durationSeconds", "have value less than or equal to 43200")
    return int(duration)


def _length(form: Mapping[str, str], name: str, least: int, most: int) -> None:
    member = name[0].lower() + name[1:]
    if name not in form:
        raise _constraint(member, "not be null")
    if len(form[name]) < least:
        raise _constraint(member, f"have length greater than or equal to {least}")
    if len(form[name]) > most:
        raise _constraint(member, f"have length less than or equal to {most}")


def _constraint(member: str, rule: str) -> Refused:
    # STS quotes the value here; this party does not, because the value may be a token.
    return _invalid(
        f"1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must {rule}"
    )


def _invalid(message: str) -> Refused:
    return Refused("ValidationError", message)


def _granted(session: Session, token: jwt_check.Token) -> dict[str, object]:
    return {
        "Credentials": {
            "AccessKeyId": session.access_key,
            "SecretAccessKey": session.secret_key,
            "SessionToken": session.token,
            "Expiration": session.expires,
        },
        "SubjectFromWebIdentityToken": token.subject,
        "Audience": token.audiences[0],
        "Provider": token.issuer,
        "AssumedRoleUser": {"AssumedRoleId": f"{session.role_id}:{session.name}", "Arn": session.arn},
    }
