"""The way out by an egress proxy: a tunnel by CONNECT (RFC 9110 §9.3.6), inside of which TLS is with the party itself.

The proxy resolves the name, so that nobody here can judge what it leads to: what a pod was admitted for is a vendor's
name or one that the installation allows by name, and the party shows its certificate. Never from the environment.
"""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass

from apostille_exchange import errors
from apostille_exchange.errors import ExchangeError

_MAX_HEAD = 16 * 1024


@dataclass(frozen=True, slots=True)
class Proxy:
    """``direct`` are what it is not asked for: names, with everything below them, addresses and networks (CIDR)."""

    host: str
    port: int
    direct: tuple[str, ...] = ()

    def leads_to(self, host: str) -> bool:
        """Whether a host is reached through it."""
        return not any(_covers(rule, host) for rule in self.direct)


def parse(text: str, direct: tuple[str, ...] = ()) -> Proxy:
    """Of ``HOST:PORT``, an IPv6 address in brackets. Raises ValueError."""
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    bare = host[1:-1] if bracketed else host
    # A scheme has a slash, a user an @: neither is taken, and a password would be for everybody to see.
    if not bare or set(bare) & set("/@ ") or (":" in bare) is not bracketed or not port.isdecimal():
        raise ValueError(f"{text!r} is not HOST:PORT")
    if not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not HOST:PORT")
    return Proxy(bare, int(port), direct)


def tunnel(connection: socket.socket, proxy: Proxy, host: str, port: int, deadline: float) -> None:
    """Has the proxy connect, by a time of the monotonic clock. Raises OSError, ExchangeError Unreachable."""
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode("ascii"))
    head = b""
    # By single bytes: whatever comes after the head is the party's.
    while not head.endswith(b"\r\n\r\n"):
        if (left := deadline - time.monotonic()) <= 0:
            raise TimeoutError
        connection.settimeout(left)
        found = connection.recv(1)
        if not found or len(head) > _MAX_HEAD:
            raise ExchangeError(errors.UNREACHABLE, f"{host}: the egress proxy {proxy.host} ended the connection")
        head += found
    version, _, rest = head.partition(b" ")
    status = rest[:3].decode("latin-1")
    if not version.startswith(b"HTTP/1.") or not status.isdecimal():
        raise ExchangeError(errors.UNREACHABLE, f"{host}: the egress proxy {proxy.host} does not speak HTTP")
    if not status.startswith("2"):
        raise ExchangeError(errors.UNREACHABLE, f"{host}: the egress proxy {proxy.host} says {status}")


def _covers(rule: str, host: str) -> bool:
    network, _, bits = rule.partition("/")
    if (of := _packed(network)) is not None:
        found = _packed(host)
        if found is None or len(found) != len(of):
            return False
        away = len(of) * 8 - (int(bits) if bits.isdecimal() else len(of) * 8)
        return int.from_bytes(found, "big") >> away == int.from_bytes(of, "big") >> away
    name = rule.lower().lstrip("*").lstrip(".")
    return host.endswith(f".{name}") or (host == name and name == rule.lower())


def _packed(host: str) -> bytes | None:
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            return socket.inet_pton(family, host)
    return None
