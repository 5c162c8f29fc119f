"""RFC 7523: the assertion as an authorization grant (§2.1), or as the client's authentication (§2.2)."""

from __future__ import annotations

from apostille_exchange.grants import oauth
from apostille_exchange.grants.token_endpoint import SCOPE, TEXT, TokenEndpoint, Wire


class JWTBearer(TokenEndpoint):
    """Parameters: ``clientID``, ``scope``. With the setting ``clientAssertion`` it also authenticates the client."""

    wire = Wire(
        grant_type=oauth.JWT_BEARER,
        assertion="assertion",
        parameters={"clientID": ("client_id", TEXT, False), "scope": ("scope", SCOPE, False)},
        authenticates=True,
        revokes=True,
    )


class ClientAssertion(TokenEndpoint):
    """Parameters: ``clientID``, ``scope``, ``audience``, ``resource``. The token is the client's own."""

    wire = Wire(
        grant_type="client_credentials",
        assertion="client_assertion",
        fixed={"client_assertion_type": oauth.CLIENT_ASSERTION},
        parameters={
            "clientID": ("client_id", TEXT, False),
            "scope": ("scope", SCOPE, False),
            "audience": ("audience", TEXT, False),
            "resource": ("resource", TEXT, False),
        },
        # For the revocation, where the client authenticates too.
        authenticates=True,
        revokes=True,
    )
