"""Entra's token endpoint with a client assertion (cloud-trust §5.5): a form, JSON back."""

from __future__ import annotations

import re
from collections.abc import Mapping

from apostille_exchange import errors
from apostille_exchange.credential import Credential
from apostille_exchange.grants import oauth
from apostille_exchange.grants.grant import Ask, Grant
from apostille_exchange.messages import Reply, Request
from apostille_exchange.recipe import RecipeError

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_SCOPE = re.compile(r"(https|api)://[!#-\[\]-~]+/\.default", re.ASCII)

# The code that every description begins with → (reason, permanent). Those of the 70021 family, 70025 and 90061 come
# also in the minutes until a new credential counts.
_WORDS = (
    ("AADSTS700211:", errors.ISSUER_UNKNOWN, False),
    ("AADSTS700212:", errors.AUDIENCE_MISMATCH, False),
    ("AADSTS7002121:", errors.AUDIENCE_MISMATCH, False),
    ("AADSTS700213:", errors.SUBJECT_MISMATCH, False),
    ("AADSTS7002131:", errors.CONDITION_REJECTED, True),
    ("AADSTS70021:", errors.NOT_PROPAGATED, False),
    ("AADSTS70025:", errors.TARGET_MISSING, False),
    ("AADSTS700016:", errors.TARGET_MISSING, True),
    ("AADSTS700024:", errors.TOKEN_EXPIRED, True),
    ("AADSTS700027:", errors.SIGNATURE_INVALID, True),
    ("AADSTS700222:", errors.MISCONFIGURED, True),
    ("AADSTS700223:", errors.CONDITION_REJECTED, True),
    ("AADSTS700238:", errors.CONDITION_REJECTED, True),
    ("AADSTS90061:", errors.KEY_UNAVAILABLE, False),
    ("AADSTS90002:", errors.TARGET_MISSING, True),
    ("AADSTS900382:", errors.MISCONFIGURED, True),
    ("AADSTS500011:", errors.MISCONFIGURED, True),
    ("AADSTS70011:", errors.MISCONFIGURED, True),
)


class EntraClientAssertion(Grant):
    """Parameters: ``clientID``, ``scope``. How long a token lives is Entra's to say."""

    def check(self, parameters: Mapping[str, str], where: str) -> None:
        """An id, and the scope of one API."""
        if not _UUID.fullmatch(parameters.get("clientID", "")):
            raise RecipeError(f"{where}.clientID: must be a client id")
        if not _SCOPE.fullmatch(parameters.get("scope", "")):
            raise RecipeError(f"{where}.scope: must be API/.default")
        if unknown := sorted(set(parameters) - {"clientID", "scope"}):
            raise RecipeError(f"{where}.{unknown[0]}: not known to this version")

    def request(self, ask: Ask) -> Request:
        """Client credentials with a client assertion (RFC 7523 §2.2)."""
        return Request(
            ask.site.endpoint,
            {
                "grant_type": "client_credentials",
                "client_id": ask.parameters["clientID"],
                "scope": ask.parameters["scope"],
                "client_assertion_type": oauth.CLIENT_ASSERTION,
                "client_assertion": ask.assertion.token,
            },
        )

    def read(self, reply: Reply, ask: Ask) -> Credential:
        """Values: ``token``."""
        return oauth.credential(reply, ask.assertion, words=_WORDS)
