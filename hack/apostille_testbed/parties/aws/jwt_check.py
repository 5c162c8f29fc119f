"""The token itself as STS reads it: form, claims, signature and times (STS AssumeRoleWithWebIdentity)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from apostille_testbed.parties import jws
from apostille_testbed.parties.aws.errors import Refused, invalid_token
from apostille_testbed.parties.jws import ALGORITHMS, Token

__all__ = ["Token", "check_times", "key_id", "no_key", "parse", "verify"]

_MALFORMED = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"


def parse(compact: str) -> Token:
    """Reads a JWS in compact form and checks the claims' types. Raises Refused (InvalidIdentityToken)."""
    try:
        token = jws.parse(compact)
    except jws.Malformed:
        raise invalid_token(_MALFORMED) from None
    claims = token.claims
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
    return token


def key_id(token: Token) -> tuple[str, str]:
    """Algorithm and kid of a token that may be verified at all. Raises Refused (InvalidIdentityToken)."""
    algorithm, kid = token.header.get("alg"), token.header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise invalid_token("Token signature invalid")
    if not isinstance(kid, str) or not kid:
        # STS picks keys by kid only; without one there is no key to retrieve (cloud-trust §18.4).
        raise no_key()
    return algorithm, kid


def no_key() -> Refused:
    """What STS answers where a token's key cannot be found (cloud-trust §3.3)."""
    return invalid_token(
        "Couldn't retrieve verification key from your identity provider, "
        "please reference AssumeRoleWithWebIdentity documentation for requirements"
    )


def verify(token: Token, algorithm: str, keys: Iterable[Mapping[str, Any]]) -> None:
    """Checks the signature with the keys that fit the algorithm. Raises Refused (InvalidIdentityToken)."""
    if not jws.verifies(token, algorithm, keys):
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
