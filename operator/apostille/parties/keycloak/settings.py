"""What a trust and a binding say about Keycloak."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from apostille.model.fields import doc

Grant = Literal["ClientCredentials", "JWTBearer"]

# Lower case and at least 3 characters: with JWTBearer it also names a user, and Keycloak lowers those names. A part of
# a ConfigMap's key as well.
CLIENT_ID = "^[a-z0-9][a-z0-9._-]{1,126}[a-z0-9]$"
_REALM = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$"
_ALIAS = "^[A-Za-z0-9][A-Za-z0-9_-]*$"

ClientID = Annotated[str, Meta(pattern=CLIENT_ID, max_length=128)]


class KeycloakTrust(Struct, frozen=True, forbid_unknown_fields=True):
    """The Keycloak server, and the realm there that accepts this cluster's tokens."""

    address: Annotated[
        str,
        doc(
            "address is the server's https URL without a path, such as https://keycloak.example, exactly as the "
            "realm's tokens name it.",
            max_length=512,
            min_length=1,
        ),
    ]
    realm: Annotated[str, doc("realm is the realm's name.", max_length=128, pattern=_REALM)]
    path: Annotated[
        str,
        doc(
            "path is the server's relative path (its option http-relative-path), such as /auth; none when omitted.",
            max_length=128,
            pattern="^(/[A-Za-z0-9._-]+)*$",
        ),
    ] = ""
    ca_bundle: Annotated[
        str,
        doc(
            "caBundle holds, in PEM, the authorities that may have signed the server's certificate; the system's when "
            "omitted.",
            max_length=16384,
        ),
    ] = field(name="caBundle", default="")
    identity_provider: Annotated[
        str, doc("identityProvider is the alias of the cluster as an identity provider of the realm.", max_length=64,
                 pattern=_ALIAS)
    ] = field(name="identityProvider", default="kubernetes")  # fmt: skip
    grant: Annotated[
        Grant,
        doc(
            "grant says what a token is exchanged for. With ClientCredentials it authenticates a client, whose service "
            "account the access token is of. With JWTBearer it is an authorization grant besides, and the access token "
            "is of the realm's user that is linked to the subject and named like the client."
        ),
    ] = "ClientCredentials"

    @property
    def issuer(self) -> str:
        """The realm's issuer, the one audience that it accepts."""
        return f"{self.address.rstrip('/')}{self.path}/realms/{self.realm}"


class KeycloakTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """The client of the realm that the workload is."""

    client: Annotated[ClientID, doc("client is the client's id, in lower case.")]


def is_client_id(name: str) -> bool:
    """Whether a target in ``spec.allow`` can be a client's id."""
    return re.fullmatch(CLIENT_ID[1:-1], name) is not None
