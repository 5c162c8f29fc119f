"""Databricks' token exchange (docs: "Authenticate with an identity provider token"; cloud-trust §7)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from apostille_exchange import errors
from apostille_exchange.credential import Credential
from apostille_exchange.grants import oauth
from apostille_exchange.grants.grant import Ask, Grant
from apostille_exchange.messages import Reply, Request
from apostille_exchange.recipe import RecipeError

_CLIENT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_SCOPE = "all-apis"

# Of the description, as users have met it: Databricks documents none (docs/design/0008). Which of issuer, subject and
# policy was wrong is not told, and a new policy counts after a minute or two. RFC 8693's codes come after.
_WORDS = (
    ("TOKEN_AUDIENCE_INVALID", errors.AUDIENCE_MISMATCH, True),
    ("TOKEN_EXPIRED", errors.TOKEN_EXPIRED, True),
    ("TOKEN_INVALID", errors.CONDITION_REJECTED, False),
)


class DatabricksTokenExchange(Grant):
    """Parameters: ``clientID``, the application id of a service principal. A life cannot be asked for."""

    def check(self, parameters: Mapping[str, str], where: str) -> None:
        """A UUID; without one it would be federation for the whole account."""
        if not _CLIENT.fullmatch(parameters.get("clientID", "")):
            raise RecipeError(f"{where}.clientID: must be the application id of a service principal")
        if unknown := sorted(set(parameters) - {"clientID"}):
            raise RecipeError(f"{where}.{unknown[0]}: not known to this version")

    def request(self, ask: Ask) -> Request:
        """As databricks-sdk sends it."""
        form = {
            "grant_type": oauth.TOKEN_EXCHANGE,
            "scope": _SCOPE,
            "subject_token_type": oauth.JWT,
            "subject_token": ask.assertion.token,
            "client_id": ask.parameters["clientID"],
        }
        return Request(ask.site.endpoint, form)

    def read(self, reply: Reply, ask: Ask) -> Credential:
        """Values: ``token``."""
        return oauth.credential(reply, ask.assertion, scope=_SCOPE, words=_WORDS)
