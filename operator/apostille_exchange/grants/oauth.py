"""What is the same for every OAuth token endpoint: token replies (RFC 6749 §5, RFC 8693 §2.2) and RFC 7009."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from apostille_exchange import errors
from apostille_exchange.assertion import Assertion
from apostille_exchange.credential import Credential
from apostille_exchange.errors import ExchangeError, quoted
from apostille_exchange.grants import json_reply
from apostille_exchange.grants.json_reply import Words
from apostille_exchange.messages import Reply

ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a type
JWT = "urn:ietf:params:oauth:token-type:jwt"
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a grant's name
JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
CLIENT_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

UNTOLD_SECONDS = 300.0  # a reply without expires_in (RFC 6749: RECOMMENDED only); little, so that nothing outlives it

# RFC 6749 §5.2, RFC 8693 §2.2.2 → (reason, permanent); a party's own words come first.
_ERRORS = {
    "invalid_request": (errors.MISCONFIGURED, True),
    "invalid_client": (errors.CONDITION_REJECTED, True),
    "invalid_grant": (errors.CONDITION_REJECTED, True),
    "unauthorized_client": (errors.CONDITION_REJECTED, True),
    "access_denied": (errors.CONDITION_REJECTED, True),
    "unsupported_grant_type": (errors.MISCONFIGURED, True),
    "invalid_scope": (errors.MISCONFIGURED, True),
    "invalid_target": (errors.TARGET_MISSING, True),
    "temporarily_unavailable": (errors.UNAVAILABLE, False),
    "slow_down": (errors.RATE_LIMITED, False),
}


def credential(
    reply: Reply,
    assertion: Assertion,
    *,
    scope: str = "",
    issued_types: Sequence[str] | None = None,
    token_types: Sequence[str] = ("bearer",),
    words: Words = (),
    codes: Mapping[str, tuple[str, bool]] | None = None,
) -> Credential:
    """The credential of a token reply. Values: ``token``. Raises ExchangeError.

    ``scope`` is what was asked for; a reply that says more is refused (empty: nothing was asked, the party decides).
    ``issued_types`` are those that ``issued_token_type`` may be; None where it is no token exchange.
    ``token_types`` in lower case; another one is a downgrade or something that cannot be used as it is delivered;
    an empty one among them: it may be left out.
    A ``refresh_token`` is never used.
    """
    if reply.status != 200:
        raise refusal(reply, assertion.token, words, codes)
    found = json_reply.members(reply)
    value = json_reply.token(found, "access_token")
    if value == assertion.token:
        raise ExchangeError(errors.BAD_REPLY, "the reply returns the assertion")
    kind = found.get("token_type", "")
    if not isinstance(kind, str) or kind.lower() not in token_types:
        raise ExchangeError(
            errors.BAD_REPLY, f"the reply's token_type is none of {', '.join(filter(None, token_types))}"
        )
    if issued_types is not None and found.get("issued_token_type") not in issued_types:
        raise ExchangeError(errors.BAD_REPLY, "the reply's issued_token_type is not what was asked for")
    granted = found.get("scope")
    if granted is not None and not isinstance(granted, str):
        raise ExchangeError(errors.BAD_REPLY, "the reply's scope is no text")
    if scope and granted and not set(granted.split()) <= set(scope.split()):
        raise ExchangeError(errors.BAD_REPLY, "the reply's scope is wider than what was asked for", permanent=True)
    life = json_reply.seconds(found, "expires_in") or UNTOLD_SECONDS
    return Credential({"token": value}, reply.received + life, value)


def refusal(
    reply: Reply, secret: str, words: Words = (), codes: Mapping[str, tuple[str, bool]] | None = None
) -> ExchangeError:
    """An error reply (RFC 6749 §5.2), whatever its status; ``secret`` is what it may echo."""
    found = json_reply.refusal_members(reply)
    code, told = _text(found, "error"), _text(found, "error_description")
    reason, permanent = json_reply.reason(reply.status, f"{code} {told}", words)
    if reason == errors.UNKNOWN:
        reason, permanent = {**_ERRORS, **(codes or {})}.get(code, (reason, permanent))
    return ExchangeError(
        reason, quoted(told, secret), permanent=permanent, code=quoted(code, secret)[:64], status=reply.status
    )


def revoked(reply: Reply, secret: str) -> None:
    """RFC 7009 §2.2: 200 also for a token that is no more. Raises ExchangeError."""
    if reply.status not in (200, 204):
        raise refusal(reply, secret)


def _text(found: Mapping[str, object], name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) else ""
