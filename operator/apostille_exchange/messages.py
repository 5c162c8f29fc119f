"""What goes to a relying party and what comes back; apart from `transport`, which brings TLS into memory."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an assertion may go."""

    host: str
    port: int
    path: str


@dataclass(frozen=True, slots=True)
class Request:
    """One POST. ``fields`` go as a form, where a value that is a list is sent once each, or as one JSON object.

    ``headers`` beside the usual ones; neither name nor value may hold a line's end.
    """

    endpoint: Endpoint
    fields: Mapping[str, object] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    as_json: bool = False

    def body(self) -> bytes:
        """What is sent."""
        if self.as_json:
            return json.dumps(self.fields, separators=(",", ":")).encode()
        pairs = [(name, one) for name, value in self.fields.items() for one in _each(value)]
        return "&".join(f"{_encode(name)}={_encode(value)}" for name, value in pairs).encode()

    @property
    def media_type(self) -> str:
        """Of the body."""
        return "application/json" if self.as_json else "application/x-www-form-urlencoded; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    received: float = field(default_factory=time.time)
    """Seconds since the epoch."""

    @property
    def media_type(self) -> str:
        """``type/subtype`` in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def endpoint(url: str) -> Endpoint:
    """Raises ValueError for anything but ``https://HOST[:PORT]/PATH``."""
    scheme, separator, rest = url.partition("://")
    if scheme != "https" or not separator:
        raise ValueError("not an https URL")
    if any(c in url for c in "?#@\\ ") or not url.isascii() or not url.isprintable():
        raise ValueError("only scheme, host, port and path may be given")
    authority, slash, path = rest.partition("/")
    if authority.startswith("["):
        host, closed, port = authority[1:].partition("]")
        host = host if closed else ""
    else:
        host, colon, port = authority.partition(":")
        port = colon + port
    port = port or ":443"
    if not host or port[0] != ":" or not port[1:].isdecimal() or not 0 < int(port[1:]) < 65536:
        raise ValueError("host or port is missing")
    return Endpoint(host, int(port[1:]), slash + path or "/")


def _each(value: object) -> Sequence[str]:
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else [str(value)]


def _encode(text: str) -> str:
    """Percent-encoding (WHATWG "application/x-www-form-urlencoded" takes it for every byte)."""
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in text.encode())
