"""Takes ports before anything else is loaded: who asks early waits for its answer instead of being refused."""

from __future__ import annotations

import socket
from collections.abc import Iterable

LOOPBACK = "127.0.0.1"


def bind(ports: Iterable[int], host: str = LOOPBACK) -> list[socket.socket]:
    """Listening sockets that do not block. Raises OSError where one of the ports cannot be had."""
    made: list[socket.socket] = []
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        for port in sorted(set(ports)):
            listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
            made.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(128)
    except OSError:
        for listener in made:
            listener.close()
        raise
    return made
