"""Who gets a reply at all: only what runs in the pod and can read the secret.

A web page cannot set the header and says ``Origin``; an SSRF in the application cannot set headers, or comes with a
foreign ``Host``; DNS rebinding comes with a foreign ``Host``; a proxy says for whom it asks.
"""

from __future__ import annotations

from collections.abc import Iterable

from apostille_exchange.endpoint.request import Head

TYPE_CHECKING = False
if TYPE_CHECKING:

    def same(one: bytes, other: bytes) -> bool:
        """Constant time."""
else:
    # hmac.compare_digest is this function; that module would bring OpenSSL's digests for it.
    from _operator import _compare_digest as same

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
# Somebody asks for somebody else, or a browser asks for a page.
_FOREIGN = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded", "via", "x-real-ip", "origin")


def refusal(head: Head, port: int) -> tuple[int, str] | None:
    """(status, code) of a request that is not even asked for its secret; None where it may go on."""
    host, colon, given = head.headers.get("host", "").lower().rpartition(":")
    if not colon or not given.isdecimal():
        host, given = head.headers.get("host", "").lower(), str(port)
    if host not in _LOOPBACK or given != str(port):
        return 403, "ForeignHost"
    if any(name in head.headers for name in _FOREIGN):
        return 403, "Forwarded"
    if head.method != "GET":
        return 405, "MethodNotAllowed"
    return None


def holds(presented: Iterable[str], secret: bytes) -> bool:
    """Whether one of the texts is the secret; each is compared, in a time that tells nothing of it."""
    found = False
    for text in presented:
        found |= same(text.encode("utf-8", "replace"), secret)
    return found and len(secret) > 0
