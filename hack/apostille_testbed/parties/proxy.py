"""Vendors' host names without DNS: unmodified clients reach a party of the testbed through HTTPS_PROXY."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Collection


class Proxy:
    """An HTTP CONNECT proxy (RFC 9110 §9.3.6) to one port, for these host names only."""

    def __init__(self, hosts: Collection[str], port: int) -> None:
        self._server = _Threads(("127.0.0.1", 0), _tunnel(hosts, port))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to answer."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="proxy", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stops for good."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Threads(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False


def _tunnel(hosts: Collection[str], port: int) -> type[socketserver.StreamRequestHandler]:
    class Tunnel(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            method, _, rest = self.rfile.readline(4096).decode("ascii", "replace").partition(" ")
            while self.rfile.readline(4096) not in (b"\r\n", b"\n", b""):
                pass
            if method != "CONNECT" or rest.partition(":")[0] not in hosts:
                self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            try:
                far = socket.create_connection(("127.0.0.1", port), timeout=30)
            except OSError:
                self.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                return
            with far:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=_pump, args=(far, self.connection), daemon=True)
                back.start()
                _pump(self.connection, far)
                back.join()

    return Tunnel


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
