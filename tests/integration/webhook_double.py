"""An HTTPS server in the admission server's place: it admits, records who asked, answers probes, fails at will."""

from __future__ import annotations

import base64
import http.server
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import trustme

from apostille.core.selection import probe_warning


@dataclass(frozen=True)
class Call:
    """A review that arrived: under which path, for which pod."""

    path: str
    namespace: str
    name: str


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    timeout = 30

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        path = self.path.partition("?")[0]
        response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
        if path.startswith("/probe/"):
            _, _, configuration, digest = path.split("/")
            response["warnings"] = [probe_warning(configuration, digest)]
        else:
            self.server.calls.append(Call(path, request["namespace"], request["object"]["metadata"].get("name", "")))
        self.server.moving.wait()
        body = json.dumps(
            {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        ).encode()
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            # The API server has lost patience with a hanging endpoint, which is what the test is about.
            self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class names it
        """Says nothing: the calls are recorded."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, port: int, context: ssl.SSLContext, calls: list[Call], moving: threading.Event) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.calls, self.moving, self._context = calls, moving, context

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        # The handshake belongs to the connection's own thread: a client that is slow must not hold up the others.
        return self._context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that the API server drops is no error of the test's."""


class WebhookDouble:
    """Listens on one port of the loopback for its whole life, also where it dies and comes back in between."""

    def __init__(self) -> None:
        authority = trustme.CA()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self._context)
        self.ca_bundle = base64.b64encode(authority.cert_pem.bytes()).decode()
        self.calls: list[Call] = []
        self._moving = threading.Event()
        self._moving.set()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port: int = free.getsockname()[1]
        self._server: _Server | None = None
        self.live()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    def live(self) -> None:
        self._moving.set()
        if self._server is None:
            self._server = _Server(self._port, self._context, self.calls, self._moving)
            serve = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
            serve.start()

    def die(self) -> None:
        """From now on connections are refused."""
        self._moving.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def hang(self) -> None:
        """From now on requests are taken and never answered."""
        self.live()
        self._moving.clear()


@contextmanager
def webhook_double() -> Iterator[WebhookDouble]:
    double = WebhookDouble()
    try:
        yield double
    finally:
        double.die()
