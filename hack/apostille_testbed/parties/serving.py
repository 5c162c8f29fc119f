"""An HTTPS server in a thread that can be killed and brought back on the same port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web
from multidict import CIMultiDict


@dataclass(frozen=True)
class Request:
    """One HTTP request as it was on the wire; ``path`` and ``query`` are still percent-encoded."""

    method: str
    path: str
    query: str
    headers: CIMultiDict[str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def host(self) -> str:
        """The Host header without its port, in lower case."""
        host = self.headers.get("Host", "").lower()
        return host if host.endswith("]") else host.rpartition(":")[0] or host


@dataclass(frozen=True)
class Reply:
    """One HTTP reply."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)


class Server:
    """Serves ``answer`` over TLS. ``answer`` runs in worker threads, so it may block and must be thread-safe."""

    def __init__(self, answer: Callable[[Request], Reply], tls: ssl.SSLContext, bind: str, port: int = 0) -> None:
        self._answer = answer
        self._tls = tls
        # Bound but never listening: while the server is down its port refuses connections and nobody else gets it.
        self._holder = _bound(bind, port)
        self._bind = bind
        self.port: int = self._holder.getsockname()[1]
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None

    def start(self) -> None:
        """Listens; returns when connections are accepted. Does nothing while it already serves."""
        if self._thread is not None:
            return
        listener = _bound(self._bind, self.port)
        ready = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listener, ready)), name=f"party-{self.port}", daemon=True
        )
        self._thread.start()
        if not ready.wait(30):
            raise TimeoutError(f"the server on port {self.port} did not start within 30 s")

    def stop(self) -> None:
        """Drops all connections and listens no more; the port stays reserved."""
        if self._thread is None:
            return
        assert self._loop is not None
        assert self._ended is not None
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._thread = None

    def close(self) -> None:
        """Stops and gives the port back."""
        self.stop()
        self._holder.close()

    async def _serve(self, listener: socket.socket, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._handle)
        # No access log: request lines and headers of a token service are nobody's business.
        runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=0.05)
        await runner.setup()
        site = web.SockSite(runner, listener, ssl_context=self._tls)
        await site.start()
        ready.set()
        await self._ended.wait()
        await site.stop()
        await _abort(runner)
        await runner.cleanup()

    async def _handle(self, received: web.Request) -> web.StreamResponse:
        path, _, query = received.raw_path.partition("?")
        request = Request(received.method, path, query, CIMultiDict(received.headers), await received.read())
        reply = await asyncio.to_thread(self._answer, request)
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)


async def _abort(runner: web.AppRunner) -> None:
    # A polite close would wait for each client's half of the TLS shutdown, and the loop would end before that.
    assert runner.server is not None
    for connection in runner.server.connections:
        if connection.transport is not None:
            connection.transport.abort()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            while runner.server.connections:  # noqa: ASYNC110 - aiohttp has no event for the last one gone
                await asyncio.sleep(0.005)


def _bound(bind: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((bind, port))
    except OSError:
        sock.close()
        raise
    return sock
