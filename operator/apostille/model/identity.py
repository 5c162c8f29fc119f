"""Who is spoken of, and who speaks: service accounts and the issuer of their assertions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class ServiceAccount(NamedTuple):
    """A (namespace, name) pair; what selection and grants are made of."""

    namespace: str
    name: str

    @property
    def subject(self) -> str:
        """The ``sub`` claim that the API server gives its tokens (KEP-1205)."""
        return f"system:serviceaccount:{self.namespace}:{self.name}"


@dataclass(frozen=True, slots=True)
class Issuer:
    """The cluster as an OIDC issuer: ``url`` byte for byte as in its discovery document and its tokens.

    ``key_ids`` are the ``kid`` of the keys it publishes now, ``algorithms`` what they sign with (RFC 7518 §3.1);
    ``api_audiences`` those the API server itself accepts, learned from a token that was requested without an audience;
    ``jwks`` the public keys as a document (RFC 7517 §5) for parties that are given keys, empty where not known.
    """

    url: str
    key_ids: tuple[str, ...] = ()
    api_audiences: tuple[str, ...] = field(default=())
    algorithms: tuple[str, ...] = ("RS256",)
    jwks: str = ""
