"""Loopback ports that nobody else gets between choosing and using them."""

from __future__ import annotations

import socket


class Port:
    """A reserved TCP port on 127.0.0.1.

    The socket here is bound but never listens, so it gets no connections; a server that sets SO_REUSEPORT, run by the
    same user, can listen beside it, end, and come back, and meanwhile connections are refused (socket(7)).
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Gives it back."""
        self._socket.close()

    def __format__(self, spec: str) -> str:
        return format(self.number, spec)
