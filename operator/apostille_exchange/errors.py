"""Why an exchange failed, in words that are the same for every relying party."""

from __future__ import annotations

MAX_DETAIL = 256  # characters of a party's message that are kept (cloud-trust §20)

# cloud-trust §20
ISSUER_UNKNOWN = "IssuerUnknown"
AUDIENCE_MISMATCH = "AudienceMismatch"
SUBJECT_MISMATCH = "SubjectMismatch"
CONDITION_REJECTED = "ConditionRejected"
TOKEN_EXPIRED = "TokenExpired"  # noqa: S105 - a reason
SIGNATURE_INVALID = "SignatureInvalid"
KEY_UNAVAILABLE = "KeyUnavailable"
TARGET_MISSING = "TargetMissing"
NOT_PROPAGATED = "NotPropagated"
RATE_LIMITED = "RateLimited"
MISCONFIGURED = "Misconfigured"
UNKNOWN = "Unknown"
# What happens before a party judges, or instead of it.
TOKEN_UNREADABLE = "TokenUnreadable"  # noqa: S105 - a reason
UNREACHABLE = "Unreachable"
TLS_FAILED = "TLSFailed"
UNAVAILABLE = "Unavailable"
BAD_REPLY = "BadReply"
NOT_DELIVERED = "NotDelivered"
# A party takes each assertion once; the kubelet brings the next.
ASSERTION_USED = "AssertionUsed"


class ExchangeError(Exception):
    """A failed exchange. Neither its text nor its fields ever hold an assertion or a credential.

    ``permanent``: asking again changes nothing until something else changes (trust, target, assertion).
    ``code`` and ``status`` are the party's; ``retry_after`` is what it asked for, in seconds.
    """

    def __init__(
        self,
        reason: str,
        detail: str = "",
        *,
        permanent: bool = False,
        code: str = "",
        status: int = 0,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
        self.permanent = permanent
        self.code = code
        self.status = status
        self.retry_after = retry_after


def quoted(message: str, assertion: str) -> str:
    """A party's message that may be logged: one line, short, without any part of the assertion it may echo."""
    words = [_without(word, assertion) for word in message[: 4 * MAX_DETAIL].split()]
    return "".join(c if c.isprintable() else "?" for c in " ".join(words))[:MAX_DETAIL]


def _without(word: str, assertion: str) -> str:
    """Drops runs of base64url characters that are long and part of the assertion."""
    kept, run = [], ""
    for character in word + " ":
        if character.isascii() and (character.isalnum() or character in "-_"):
            run += character
            continue
        kept.append("…" if len(run) >= 8 and run in assertion else run)
        kept.append(character)
        run = ""
    return "".join(kept)[:-1]
