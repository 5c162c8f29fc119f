"""RFC 8693: the assertion as the subject token of a token exchange."""

from __future__ import annotations

from apostille_exchange.grants import oauth
from apostille_exchange.grants.token_endpoint import SCOPE, TEXT, TokenEndpoint, Wire


class TokenExchange(TokenEndpoint):
    """Parameters: ``clientID``, ``scope``, ``audience``, ``resource``."""

    wire = Wire(
        grant_type=oauth.TOKEN_EXCHANGE,
        assertion="subject_token",
        fixed={"subject_token_type": oauth.JWT, "requested_token_type": oauth.ACCESS_TOKEN},
        parameters={
            "clientID": ("client_id", TEXT, False),
            "scope": ("scope", SCOPE, False),
            "audience": ("audience", TEXT, False),
            "resource": ("resource", TEXT, False),
        },
        issued_types=(oauth.ACCESS_TOKEN,),
    )
