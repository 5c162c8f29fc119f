"""Replies that are one JSON object, and what is the same in every refusal."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from apostille_exchange import errors
from apostille_exchange.errors import ExchangeError
from apostille_exchange.messages import Reply

_TOKEN = re.compile(r"[!-~]{8,32768}")

Words = Sequence[tuple[str, str, bool]]
"""Part of a party's message → (reason, permanent); the first that is found counts, whatever its case."""


def members(reply: Reply) -> dict[str, object]:
    """Raises ExchangeError (BadReply) unless it is whole, of this media type, and an object without repeated names."""
    if reply.media_type != "application/json":
        raise ExchangeError(errors.BAD_REPLY, "the reply is not JSON", status=reply.status)
    try:
        found = json.loads(reply.body, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        # Not its text: it may quote the credential.
        raise ExchangeError(errors.BAD_REPLY, "the reply is not JSON", status=reply.status) from None
    if not isinstance(found, dict):
        raise ExchangeError(errors.BAD_REPLY, "the reply is no JSON object", status=reply.status)
    return found


def refusal_members(reply: Reply) -> dict[str, object]:
    """What a refusal says; empty where it is not JSON, such as a proxy's page."""
    try:
        return members(reply)
    except ExchangeError:
        return {}


def token(found: Mapping[str, object], name: str) -> str:
    """A bearer token that may go into a header. Raises ExchangeError."""
    value = found.get(name)
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise ExchangeError(errors.BAD_REPLY, f"the reply holds no {name}")
    return value


def seconds(found: Mapping[str, object], name: str) -> float | None:
    """A duration; None where there is none. Raises ExchangeError. Some servers send it as text."""
    value = found.get(name)
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 10:
        value = int(value)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < 1e9:
        raise ExchangeError(errors.BAD_REPLY, f"the reply's {name} is no duration")
    return float(value)


def reason(status: int, message: str, words: Words) -> tuple[str, bool]:
    """(reason, permanent) of a refusal: what every party means by a status, else by its words."""
    if status == 429:
        return errors.RATE_LIMITED, False
    if status >= 500:
        return errors.UNAVAILABLE, False
    lower = message.lower()
    for part, found, permanent in words:
        if part.lower() in lower:
            return found, permanent
    return errors.UNKNOWN, True


def _once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found
