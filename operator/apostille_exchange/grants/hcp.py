"""HCP's exchange at a workload identity provider (hcp-sdk-go, auth/workload; cloud-trust §9): JSON, and JSON back."""

from __future__ import annotations

from collections.abc import Mapping

from apostille_exchange import errors
from apostille_exchange.credential import Credential
from apostille_exchange.errors import ExchangeError, quoted
from apostille_exchange.grants import json_reply
from apostille_exchange.grants.grant import Ask, Grant
from apostille_exchange.messages import Reply, Request
from apostille_exchange.recipe import RecipeError

# By code alone: HCP documents no message (docs/design/0008). google.rpc.Code → (reason, permanent): INVALID_ARGUMENT,
# NOT_FOUND, PERMISSION_DENIED, UNAUTHENTICATED.
_CODES = {
    3: (errors.MISCONFIGURED, True),
    5: (errors.TARGET_MISSING, True),
    7: (errors.CONDITION_REJECTED, True),
    16: (errors.CONDITION_REJECTED, True),
}


class HCPWorkload(Grant):
    """No parameters: provider and service principal are in the admission's endpoint."""

    def check(self, parameters: Mapping[str, str], where: str) -> None:
        """There are none."""
        for name in parameters:
            raise RecipeError(f"{where}.{name}: not known to this version")

    def request(self, ask: Ask) -> Request:
        """ExchangeWorkloadIdentityToken."""
        return Request(ask.site.endpoint, {"jwt_token": ask.assertion.token}, as_json=True)

    def read(self, reply: Reply, ask: Ask) -> Credential:
        """Values: ``token``."""
        if reply.status != 200:
            raise _refusal(reply, ask.assertion.token)
        found = json_reply.members(reply)
        value = json_reply.token(found, "access_token")
        if value == ask.assertion.token:
            raise ExchangeError(errors.BAD_REPLY, "the reply returns the assertion")
        seconds = json_reply.seconds(found, "expires_in")
        if seconds is None:
            raise ExchangeError(errors.BAD_REPLY, "the reply has no expires_in")
        return Credential({"token": value}, reply.received + seconds, value)


def _refusal(reply: Reply, secret: str) -> ExchangeError:
    found = json_reply.refusal_members(reply)
    message, code = found.get("message"), found.get("code")
    told = message if isinstance(message, str) else ""
    reason, permanent = json_reply.reason(reply.status, told, ())
    if reason == errors.UNKNOWN and isinstance(code, int):
        reason, permanent = _CODES.get(code, (reason, permanent))
    return ExchangeError(
        reason, quoted(told, secret), permanent=permanent, code=str(code or "")[:8], status=reply.status
    )
