"""A signed token: its form and its signature (RFC 7515, 7517, 7518, 7519). Which claims it needs is each vendor's."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import get_default_algorithms

# The JWK type and curve of each algorithm that somebody here verifies (RFC 7518 §3.1).
# Nothing symmetric and not "none": with those the public key would be the secret, or there would be none.
ALGORITHMS: Mapping[str, tuple[str, str | None]] = {
    "RS256": ("RSA", None),
    "RS384": ("RSA", None),
    "RS512": ("RSA", None),
    "ES256": ("EC", "P-256"),
    "ES384": ("EC", "P-384"),
    "ES512": ("EC", "P-521"),
}
_RSA_BITS = 2048  # RFC 7518 §3.3


class Malformed(ValueError):
    """Not a token at all. The message never quotes it."""


@dataclass(frozen=True)
class Token:
    """A parsed, not yet verified token."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def issuer(self) -> str:
        """The ``iss`` claim."""
        return str(self.claims["iss"])

    @property
    def subject(self) -> str:
        """The ``sub`` claim."""
        return str(self.claims["sub"])

    @property
    def audiences(self) -> tuple[str, ...]:
        """The ``aud`` claim: one string or a list (RFC 7519 §4.1.3)."""
        aud = self.claims["aud"]
        return (aud,) if isinstance(aud, str) else tuple(aud)


def parse(compact: str) -> Token:
    """Reads a JWS in compact form. Raises Malformed."""
    segments = compact.split(".")
    if len(segments) != 3:
        raise Malformed("not three segments")
    header, claims = _members(segments[0]), _members(segments[1])
    # An extension that must be understood, and is not, makes the token invalid (RFC 7515 §4.1.11).
    if "crit" in header:
        raise Malformed("an extension that is not understood")
    return Token(header, claims, f"{segments[0]}.{segments[1]}".encode(), _decode(segments[2]))


def verifies(token: Token, algorithm: str, keys: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the signature is one by a key that fits the algorithm."""
    return any(_fits(key, algorithm) and _verifies(token, algorithm, key) for key in keys)


def _fits(key: Mapping[str, Any], algorithm: str) -> bool:
    kind, curve = ALGORITHMS[algorithm]
    operations = key.get("key_ops", ["verify"])
    return (
        key.get("kty") == kind
        and (curve is None or key.get("crv") == curve)
        # RFC 7517 §4.2 to §4.4: what the key says of its use binds whoever uses it.
        and key.get("use", "sig") == "sig"
        and isinstance(operations, list)
        and "verify" in operations
        and key.get("alg", algorithm) == algorithm
        # A published private key verifies nothing any more (RFC 7518 §6.2.2, §6.3.2).
        and "d" not in key
    )


def _verifies(token: Token, algorithm: str, key: Mapping[str, Any]) -> bool:
    method = get_default_algorithms()[algorithm]
    try:
        public = method.from_jwk(dict(key))
    except (jwt.InvalidKeyError, ValueError, TypeError, KeyError, binascii.Error):
        return False
    if isinstance(public, rsa.RSAPublicKey) and public.key_size < _RSA_BITS:
        return False
    return method.verify(token.signed, public, token.signature)


def _decode(segment: str) -> bytes:
    # Unpadded and canonical base64url (RFC 7515 §2): a second spelling of one token must not pass.
    try:
        decoded = base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise Malformed("not base64url") from None
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != segment:
        raise Malformed("not canonical base64url")
    return decoded


def _members(segment: str) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        # RFC 7519 §4: duplicate names are rejected, or two readers see two tokens.
        if len(members) != len(pairs):
            raise ValueError("duplicate member")
        return members

    try:
        document = json.loads(_decode(segment), object_pairs_hook=unique)
    except (ValueError, RecursionError):
        # ``from None``: the parser's message would quote the token.
        raise Malformed("not JSON") from None
    if not isinstance(document, dict):
        raise Malformed("not a JSON object")
    return document
