"""The assertion itself, for an SDK that exchanges it and asks an endpoint for it instead of reading its file.

Google's SDKs do (AIP-4117, "URL-sourced credentials").
"""

from __future__ import annotations

from collections.abc import Mapping

from apostille_exchange import errors
from apostille_exchange.credential import Credential
from apostille_exchange.errors import ExchangeError
from apostille_exchange.grants.grant import Ask, Grant
from apostille_exchange.recipe import RecipeError


class AssertionItself(Grant):
    """Follows the file that the kubelet replaces at 0.8 of a token's life; nothing is sent anywhere."""

    single_use = True  # the same one again is nothing new
    local = True
    refresh_at = 0.8

    def check(self, parameters: Mapping[str, str], where: str) -> None:
        """There is nothing to choose."""
        for name in parameters:
            raise RecipeError(f"{where}.{name}: not known to this version")

    def itself(self, ask: Ask) -> Credential:
        """With the assertion's own end."""
        if ask.assertion.expires == float("inf"):
            raise ExchangeError(errors.TOKEN_UNREADABLE, "the token does not say when it ends")
        return Credential({"token": ask.assertion.token}, ask.assertion.expires, ask.assertion.token_id)
