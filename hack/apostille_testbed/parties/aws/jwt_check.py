"""The token itself: form, signature and times (RFC 7515, 7517, 7518, 7519; STS AssumeRoleWithWebIdentity)."""

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

from apostille_testbed.parties.aws.errors import Refused, invalid_token

# The JWK type and curve of each algorithm that STS verifies (cloud-trust §3.3; RFC 7518 §3.1).
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

_MALFORMED = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"


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
    """Reads a JWS in compact form and checks the claims' types. Raises Refused (InvalidIdentityToken)."""
    segments = compact.split(".")
    if len(segments) != 3:
        raise invalid_token(_MALFORMED)
    header, claims = _members(segments[0]), _members(segments[1])
    # An extension that must be understood, and is not, makes the token invalid (RFC 7515 §4.1.11).
    if "crit" in header:
        raise invalid_token(_MALFORMED)
    for name in ("iss", "sub"):
        if not isinstance(claims.get(name), str):
            raise invalid_token(f"Missing a required claim: {name}")
    aud = claims.get("aud")
    if not isinstance(aud, str) and not (isinstance(aud, list) and aud and all(isinstance(one, str) for one in aud)):
        raise invalid_token("Missing a required claim: aud")
    for name in ("exp", "iat", "nbf"):
        if name not in claims and name != "nbf":
            raise invalid_token(f"Missing a required claim: {name}")
        # Numeric dates must be integers for STS, although RFC 7519 §2 allows fractions (cloud-trust §3.3).
        if type(claims.get(name, 0)) is not int:
            raise invalid_token(f"The claim {name} must be an integer or a long integer")
    # SubjectFromWebIdentityToken has 6 to 255 characters (cloud-trust §3.3).
    if not 6 <= len(claims["sub"]) <= 255:
        raise invalid_token("The claim sub must have 6 to 255 characters")
    return Token(header, claims, f"{segments[0]}.{segments[1]}".encode(), _decode(segments[2]))


def key_id(token: Token) -> tuple[str, str]:
    """Algorithm and kid of a token that may be verified at all. Raises Refused (InvalidIdentityToken)."""
    algorithm, kid = token.header.get("alg"), token.header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise invalid_token("Token signature invalid")
    if not isinstance(kid, str) or not kid:
        # STS picks keys by kid only; without one there is no key to retrieve (cloud-trust §18.4).
        raise invalid_token(
            "Couldn't retrieve verification key from your identity provider, "
            "please reference AssumeRoleWithWebIdentity documentation for requirements"
        )
    return algorithm, kid


def verify(token: Token, algorithm: str, keys: Iterable[Mapping[str, Any]]) -> None:
    """Checks the signature with the keys that fit the algorithm. Raises Refused (InvalidIdentityToken)."""
    if not any(_fits(key, algorithm) and _verifies(token, algorithm, key) for key in keys):
        raise invalid_token("Token signature invalid")


def check_times(token: Token, now: float, leeway: int) -> None:
    """Checks exp, nbf and iat against ``now`` (seconds since the epoch).

    AWS documents 300 s of ``leeway`` after exp for clock skew; tests take 0 to see an end when it comes.
    Raises Refused (ExpiredTokenException, InvalidIdentityToken).
    """
    expires = token.claims["exp"]
    if now >= expires + leeway:
        raise Refused(
            "ExpiredTokenException",
            f"Token expired: current date/time {int(now)} must be before the expiration date/time {expires}",
        )
    # A token from the future is not used before its time (RFC 7519 §4.1.5), nor does its iat become true by waiting.
    if max(token.claims.get("nbf", 0), token.claims["iat"]) > now + leeway:
        raise invalid_token("The ID Token provided is not valid yet")


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
        raise invalid_token(_MALFORMED) from None
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != segment:
        raise invalid_token(_MALFORMED)
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
        raise invalid_token(_MALFORMED) from None
    if not isinstance(document, dict):
        raise invalid_token(_MALFORMED)
    return document
