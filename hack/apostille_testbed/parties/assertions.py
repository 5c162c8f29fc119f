"""What relying parties that follow OpenID Connect check of an assertion, apart from whom it is for (RFC 7519 §4.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from apostille_testbed.parties import jws
from apostille_testbed.parties.jws import Token
from apostille_testbed.parties.keys import KeySource, NoKey

Kind = Literal["malformed", "claim", "algorithm", "key", "signature", "expired", "early"]


class Fault(Exception):
    """An assertion that is refused. ``detail`` never quotes it; how it is worded is each vendor's."""

    def __init__(self, kind: Kind, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


class Verifier:
    """``algorithms`` are those that the vendor documents; ``clock`` gives seconds since the epoch.

    ``leeway``: seconds granted after ``exp`` and before ``nbf`` and ``iat``.
    """

    def __init__(
        self, keys: KeySource, algorithms: frozenset[str], clock: Callable[[], float], leeway: int = 0
    ) -> None:
        self._keys = keys
        self._algorithms = algorithms
        self._clock = clock
        self._leeway = leeway

    def read(self, compact: str) -> Token:
        """Form and the types of the claims that are judged. Raises Fault (malformed, claim)."""
        try:
            token = jws.parse(compact)
        except jws.Malformed as error:
            raise Fault("malformed", str(error)) from None
        claims = token.claims
        for name in ("iss", "sub"):
            if not isinstance(claims.get(name), str) or not claims[name]:
                raise Fault("claim", f"{name} is missing")
        aud = claims.get("aud")
        if not isinstance(aud, str) and not (isinstance(aud, list) and all(isinstance(one, str) for one in aud)):
            raise Fault("claim", "aud is missing")
        for name in ("exp", "iat", "nbf"):
            if name not in claims and name == "exp":
                raise Fault("claim", "exp is missing")
            # RFC 7519 §2: a JSON number; Python's true is none.
            if not isinstance(claims.get(name, 0), int | float) or isinstance(claims.get(name), bool):
                raise Fault("claim", f"{name} is no time")
        return token

    def verify(self, token: Token) -> None:
        """Algorithm, key, signature, times, in this order. Raises Fault."""
        algorithm, kid = token.header.get("alg"), token.header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise Fault("algorithm", f"signed with {algorithm!r}")
        if not isinstance(kid, str) or not kid:
            # Without kid the key would have to be guessed among the issuer's (OpenID Connect Core 1.0 §10.1).
            raise Fault("key", "kid is missing")
        try:
            keys = self._keys.find(token.issuer, kid)
        except NoKey as error:
            raise Fault("key", str(error.__cause__ or "the issuer has no such key")) from None
        if not jws.verifies(token, algorithm, keys):
            raise Fault("signature", "not by the issuer's key")
        now = self._clock()
        if now >= token.claims["exp"] + self._leeway:
            raise Fault("expired", f"expired at {token.claims['exp']}")
        if max(token.claims.get("nbf", 0), token.claims.get("iat", 0)) > now + self._leeway:
            raise Fault("early", "not valid yet")
