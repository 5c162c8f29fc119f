"""The head of one HTTP/1.1 request (RFC 9112), as little of it as credentials need; bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_HEAD = 8 * 1024

# What is left of a text without these is what it may not hold; a loop over its bytes would be half of a reply's time.
_NAME = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VISIBLE = bytes(range(0x21, 0x7F))
# What may decide something, and therefore may not be said twice.
_ONCE = frozenset({"host", "authorization", "content-length", "transfer-encoding", "x-identity-header", "metadata"})


class Malformed(ValueError):
    """Not a request that is read any further; the connection ends."""


@dataclass(frozen=True, slots=True)
class Head:
    """``path`` and ``query`` as they were sent, not decoded; names of headers in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)
    keep_alive: bool = True


def read(head: bytes) -> Head:
    """``head`` without the empty line at its end. Raises Malformed."""
    if len(head) > MAX_HEAD or b"\0" in head:
        raise Malformed
    first, *lines = head.split(b"\r\n")
    method, _, rest = first.partition(b" ")
    target, _, version = rest.partition(b" ")
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or not method.isalpha() or not method.isupper():
        raise Malformed
    # Origin form alone: an absolute target is for proxies, and none is to stand between.
    if not target.startswith(b"/") or target.translate(None, _VISIBLE) or b"#" in target:
        raise Malformed
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name.translate(None, _NAME) or b"\n" in value or b"\r" in value:
            raise Malformed
        key = name.decode("ascii").lower()
        if key in headers and key in _ONCE:
            raise Malformed
        headers[key] = value.strip(b" \t").decode("latin-1")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise Malformed  # nothing here has a body
    if version == b"HTTP/1.1" and "host" not in headers:
        raise Malformed
    path, _, query = target.decode("ascii").partition("?")
    wish = headers.get("connection", "").lower()
    return Head(method.decode("ascii"), path, query, headers, wish != "close" and version == b"HTTP/1.1")
