"""Google's Security Token Service (cloud-trust §4.3), and impersonation of a service account after it (§4.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from apostille_exchange import errors, instants
from apostille_exchange.credential import Credential
from apostille_exchange.errors import ExchangeError, quoted
from apostille_exchange.grants import json_reply, oauth
from apostille_exchange.grants.grant import Ask, Further, Grant
from apostille_exchange.messages import Endpoint, Reply, Request
from apostille_exchange.recipe import Admission, RecipeError

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
# All that a federated token needs in order to become a service account (google-auth asks for the same).
_TO_IMPERSONATE = "https://www.googleapis.com/auth/iam"
MAX_SECONDS = 3600  # of an impersonated credential, without an organisation policy (cloud-trust §4.4)

_PROVIDER = re.compile(
    r"//iam\.googleapis\.com/projects/[0-9]{1,19}/locations/global/workloadIdentityPools/[a-z0-9-]{4,32}"
    r"/providers/[a-z0-9-]{4,32}",
    re.ASCII,
)
_EMAIL = re.compile(r"[a-z][a-z0-9-]{4,61}@[a-z0-9.:-]{1,100}\.iam\.gserviceaccount\.com", re.ASCII)

# Words of STS' descriptions (cloud-trust §4.3) → (reason, permanent). The last is an error's code.
_WORDS = (
    ("does not match the expected audience", errors.AUDIENCE_MISMATCH, True),
    ("the issuer in id token", errors.ISSUER_UNKNOWN, True),
    ("rejected by the attribute condition", errors.CONDITION_REJECTED, True),
    ("error connecting to the given credential's issuer", errors.KEY_UNAVAILABLE, False),
    ("is stale to sign-in", errors.TOKEN_EXPIRED, True),
    ("signature", errors.SIGNATURE_INVALID, True),
    ("invalid_target", errors.TARGET_MISSING, True),
    ("quota_exceeded", errors.RATE_LIMITED, False),
)


class GoogleSTS(Grant):
    """Setting: ``provider``, its full name. Parameter: ``serviceAccount``, with the endpoint ``impersonation``."""

    endpoints: Mapping[str, bool] = {"impersonation": False}
    settings: Mapping[str, bool] = {"provider": True}

    def admit(self, admission: Admission, where: str = "admission") -> None:
        """The provider is part of what was admitted: another one's principals are others."""
        super().admit(admission, where)
        if not _PROVIDER.fullmatch(admission.settings["provider"]):
            raise RecipeError(f"{where}.settings.provider: must be the full name of a provider")

    def check(self, parameters: Mapping[str, str], where: str) -> None:
        """An email of a service account, or nothing."""
        if "serviceAccount" in parameters and not _EMAIL.fullmatch(parameters["serviceAccount"]):
            raise RecipeError(f"{where}.serviceAccount: must be the email of a service account")
        if unknown := sorted(set(parameters) - {"serviceAccount"}):
            raise RecipeError(f"{where}.{unknown[0]}: not known to this version")

    def request(self, ask: Ask) -> Request:
        """The token exchange (RFC 8693); how long its token lives is Google's to say."""
        return Request(
            ask.site.endpoint,
            {
                "grant_type": oauth.TOKEN_EXCHANGE,
                "audience": ask.site.admission.settings["provider"],
                "scope": _TO_IMPERSONATE if ask.parameters else SCOPE,
                "requested_token_type": oauth.ACCESS_TOKEN,
                "subject_token": ask.assertion.token,
                "subject_token_type": oauth.JWT,
            },
        )

    def read(self, reply: Reply, ask: Ask) -> Credential | Further:
        """Values: ``token``."""
        federated = oauth.credential(reply, ask.assertion, issued_types=(oauth.ACCESS_TOKEN,), words=_WORDS)
        if not ask.parameters:
            return federated
        if "impersonation" not in ask.site.endpoints:
            raise ExchangeError(errors.MISCONFIGURED, "the pod was admitted for no service account", permanent=True)
        to = ask.site.endpoints["impersonation"]
        email = ask.parameters["serviceAccount"]
        request = Request(
            Endpoint(to.host, to.port, f"/v1/projects/-/serviceAccounts/{email}:generateAccessToken"),
            {"scope": [SCOPE], "lifetime": f"{min(ask.session_seconds, MAX_SECONDS)}s"},
            {"Authorization": f"Bearer {federated.values['token']}"},
            as_json=True,
        )
        return Further(request, federated.values)

    def read_further(self, reply: Reply, ask: Ask, before: Further) -> Credential:
        """The service account's token."""
        if reply.status != 200:
            raise _refusal(reply, before.values["token"])
        found = json_reply.members(reply)
        value = json_reply.token(found, "accessToken")
        if value in (before.values["token"], ask.assertion.token):
            raise ExchangeError(errors.BAD_REPLY, "the reply returns the token that was sent")
        try:
            expires = instants.seconds(str(found.get("expireTime")))
        except ValueError:
            raise ExchangeError(errors.BAD_REPLY, "the reply's expireTime is no instant") from None
        return Credential({"token": value}, expires, value)


def _refusal(reply: Reply, secret: str) -> ExchangeError:
    """google.rpc.Status as JSON."""
    told = json_reply.refusal_members(reply).get("error")
    status, message = (
        (str(told.get("status", "")), str(told.get("message", ""))) if isinstance(told, dict) else ("", "")
    )
    reason, permanent = json_reply.reason(reply.status, message, ())
    if reason == errors.UNKNOWN:
        # Missing, or the principal is no member of it: Google does not say which (cloud-trust §20).
        reason, permanent = {
            "PERMISSION_DENIED": (errors.SUBJECT_MISMATCH, True),
            "NOT_FOUND": (errors.TARGET_MISSING, True),
            "INVALID_ARGUMENT": (errors.MISCONFIGURED, True),
            "UNAUTHENTICATED": (errors.UNKNOWN, False),
        }.get(status, (reason, permanent))
    return ExchangeError(
        reason, quoted(message, secret), permanent=permanent, code=quoted(status, secret)[:64], status=reply.status
    )
