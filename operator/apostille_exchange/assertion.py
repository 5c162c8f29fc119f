"""The projected service-account token: read anew for every exchange, since the kubelet replaces it."""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass, field

from apostille_exchange import errors
from apostille_exchange.errors import ExchangeError

MAX_BYTES = 64 * 1024
_MAX_SHOWN = 512  # characters of a claim; system:serviceaccount:NAMESPACE:NAME has at most 339

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Assertion:
    """One token. ``subject`` and ``token_id`` (``jti``) are read without verification: for logs, not for decisions.

    ``expires`` in seconds since the epoch, also unverified; infinite where the token does not say.
    """

    token: str = field(repr=False)
    subject: str
    token_id: str
    expires: float = float("inf")


def version(path: str) -> Version | None:
    """Something that differs when the file was replaced; None while it cannot be seen."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


def read(path: str, audience: str) -> Assertion:
    """The assertion that is there now.

    Raises ExchangeError: TokenUnreadable while there is no whole token, AudienceMismatch for a token that anybody
    but the admitted receiver would accept too: it is never sent.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ExchangeError(errors.TOKEN_UNREADABLE, error.strerror or type(error).__name__) from None
    claims = _claims(content)
    audiences = claims.get("aud")
    if (audiences if isinstance(audiences, list) else [audiences]) != [audience]:
        raise ExchangeError(
            errors.AUDIENCE_MISMATCH, f"the token is not for {audience} alone; it was not sent", permanent=True
        )
    expires = claims.get("exp")
    return Assertion(
        content.decode("ascii").strip(),
        _shown(claims.get("sub")),
        _shown(claims.get("jti")),
        float(min(expires, 2**53)) if isinstance(expires, int) else float("inf"),
    )


def _claims(content: bytes) -> dict[str, object]:
    try:
        if len(content) > MAX_BYTES:
            raise ValueError
        _, payload, signature = content.strip().split(b".")
        claims = json.loads(base64.b64decode(payload + b"=" * (-len(payload) % 4), b"-_", validate=True))
        if not isinstance(claims, dict) or not signature or not content.isascii():
            raise ValueError
    except (ValueError, RecursionError):
        # A file that is being written, or not a token at all; its content is nobody's business.
        raise ExchangeError(errors.TOKEN_UNREADABLE, "the file holds no whole JSON Web Token") from None
    return claims


def _shown(claim: object) -> str:
    return claim[:_MAX_SHOWN] if isinstance(claim, str) else ""
