"""The negative matrix of cloud-trust §18.4: what is wrong with an assertion, told once for every judge."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from testbed.strict_sts_issuer import Issuer, new_key, public_jwk

SUBJECT = "system:serviceaccount:payments:reader"

Make = Callable[[Issuer, str], str]
"""From the issuer and the right audience to a token."""


def _claims(subject: str = SUBJECT, **changes: Any) -> Make:
    return lambda issuer, audience: issuer.token(subject, **({"audience": [audience]} | changes))


def _audience(make: Callable[[str], str | list[str]]) -> Make:
    return lambda issuer, audience: issuer.token(SUBJECT, make(audience))


def _header(**changes: Any) -> Make:
    def make(issuer: Issuer, audience: str) -> str:
        header = {"alg": issuer.algorithm, "kid": issuer.kid} | changes
        used = {name: value for name, value in header.items() if value is not None}
        return issuer.sign(issuer.claims(SUBJECT, [audience]), used)

    return make


def _foreign_key(issuer: Issuer, audience: str) -> str:
    """Signed with another issuer's key of the same kid."""
    other = Issuer(issuer.url, issuer.algorithm, issuer.kid)
    return other.token(SUBJECT, [audience])


def _garbled(issuer: Issuer, audience: str) -> str:
    head, _, signature = issuer.token(SUBJECT, [audience]).rpartition(".")
    return f"{head}.{'A' * len(signature)}"


def _embedded_key(issuer: Issuer, audience: str) -> str:
    """Brings the key along that it is signed with (RFC 7515 §4.1.3): nobody may take it."""
    other = Issuer(issuer.url, issuer.algorithm, "other")
    jwk = public_jwk(other.signing, issuer.algorithm, "other")
    return other.sign(other.claims(SUBJECT, [audience]), {"alg": issuer.algorithm, "kid": "other", "jwk": jwk})


def _second_spelling(issuer: Issuer, audience: str) -> str:
    return issuer.token(SUBJECT, [audience]) + "="


REFUSED: Mapping[str, Make] = {
    "wrong iss": _claims(iss="https://other.issuer.example"),
    "iss with a trailing slash": lambda issuer, audience: issuer.token(SUBJECT, [audience], iss=issuer.url + "/"),
    "iss in upper case": lambda issuer, audience: issuer.token(SUBJECT, [audience], iss=issuer.url.upper()),
    "no iss": _claims(iss=None),
    "wrong aud": _audience(lambda _: "other"),
    "aud with a trailing slash": _audience(lambda audience: [audience + "/"]),
    "aud in upper case": _audience(lambda audience: [audience.upper()]),
    "two wrong auds": _audience(lambda _: ["a", "b"]),
    "no aud in the list": _audience(lambda _: []),
    "no aud": _claims(audience=None),
    "wrong sub, same prefix": _claims(SUBJECT + "-2"),
    "a prefix of the sub": _claims(SUBJECT[:-1]),
    "sub of another namespace": _claims("system:serviceaccount:evil:reader"),
    "sub in upper case": _claims(SUBJECT.upper()),
    "no sub": _claims(sub=None),
    "expired": lambda issuer, audience: issuer.token(SUBJECT, [audience], exp=int(time.time()) - 60),
    "no exp": _claims(exp=None),
    "exp as text": _claims(exp="9999999999"),
    "iat in the future": lambda issuer, audience: issuer.token(SUBJECT, [audience], iat=int(time.time()) + 600),
    "nbf in the future": lambda issuer, audience: issuer.token(SUBJECT, [audience], nbf=int(time.time()) + 600),
    "alg none": lambda issuer, audience: issuer.unsigned(issuer.claims(SUBJECT, [audience])),
    "HS256 with the public key": lambda issuer, audience: issuer.symmetric(issuer.claims(SUBJECT, [audience])),
    "alg of another name": _header(alg="PS256"),
    "unknown kid": _header(kid="unknown"),
    "no kid": _header(kid=None),
    "kid of another type": _header(kid=7),
    "an extension that must be understood": _header(crit=["b64"], b64=False),
    "another issuer's key of this kid": _foreign_key,
    "its own key in the header": _embedded_key,
    "garbled signature": _garbled,
    "a second spelling": _second_spelling,
    "no token": lambda issuer, audience: "not.a.token",
    "nothing": lambda issuer, audience: "",
}

ACCEPTED: Mapping[str, Make] = {
    "as minted": _claims(),
    "aud as text": _audience(lambda audience: audience),
    "one of two auds": _audience(lambda audience: ["other", audience]),
    "extra claims": _claims(**{"kubernetes.io": {"namespace": "payments"}, "jti": "1"}),
    "no iat and no nbf": _claims(iat=None, nbf=None),
}


def rotated(issuer: Issuer) -> str:
    """Begins to sign with a new key that is published beside the old one; returns the new kid."""
    issuer.signing, issuer.kid = new_key(issuer.algorithm), "key-2"
    issuer.jwks.append(public_jwk(issuer.signing, issuer.algorithm, issuer.kid))
    return issuer.kid
