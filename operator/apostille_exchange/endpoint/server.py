"""The endpoints of all bindings of a pod, answered from memory by one thread; no request leads to an exchange.

Written out instead of using ``http.server``: that costs 2 MiB in every pod and a thread a connection.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from apostille_exchange.clock import Clock
from apostille_exchange.endpoint import guard, shapes
from apostille_exchange.endpoint.request import MAX_HEAD, Head, Malformed, read
from apostille_exchange.endpoint.served import Served

MOST_CONNECTIONS = 128
IDLE = 30.0  # seconds until a kept connection is closed
HEAD_TIME = 5.0  # seconds until a request's head must be whole
_RECEIVE = 16 * 1024
_PHRASES = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}
_PHRASES |= {405: "Method Not Allowed", 503: "Service Unavailable"}


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint: ``held`` is called for every reply and must not wait; ``key_file`` is where ``secret`` is found."""

    path: str
    shape: str
    secret: bytes = field(repr=False)
    key_file: str
    held: Callable[[], Served]


def route_path(binding: str, shape: str) -> str:
    """Of an endpoint's URL; a client that shortens it finds nothing."""
    return f"/{binding}/{shape}"


class _Connection:
    def __init__(self, plain: socket.socket, port: int, moment: float) -> None:
        self.plain, self.port = plain, port
        self.inbox, self.outbox = b"", b""
        self.deadline = moment + HEAD_TIME
        self.stuck = False  # the kernel takes no more of the outbox now
        self.last = False


class Server:
    """Answers on ``listeners`` from `start` on."""

    def __init__(
        self, listeners: Iterable[socket.socket], clock: Clock, counts: dict[tuple[str, int], int] | None = None
    ) -> None:
        """``counts`` takes up the replies by shape and status."""
        self.counts = {} if counts is None else counts
        self.faults = 0
        self._clock = clock
        self._routes: Mapping[tuple[int, str], Route] = {}
        self._pages: Mapping[str, Callable[[], bytes]] = {}
        self._poll = select.epoll()
        self._wake, self._woken = socket.socketpair()
        self._poll.register(self._woken, select.EPOLLIN)
        self._listeners = {listener.fileno(): listener for listener in listeners}
        self._connections: dict[int, _Connection] = {}
        self._ending = False
        for listener in self._listeners.values():
            self._poll.register(listener, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="endpoint", daemon=True)

    @property
    def ports(self) -> list[int]:
        """What it listens on."""
        return [listener.getsockname()[1] for listener in self._listeners.values()]

    def start(
        self, routes: Mapping[int, Iterable[Route]], pages: Mapping[str, Callable[[], bytes]] | None = None
    ) -> None:
        """Begins to answer. ``pages`` need no secret and hold none (``/metrics``)."""
        self._routes = {(port, route.path): route for port, given in routes.items() for route in given}
        self._pages = pages or {}
        self._thread.start()

    def close(self) -> None:
        """Returns when nothing is answered any more."""
        self._ending = True
        with contextlib.suppress(OSError):  # it may have seen it by itself and be gone
            self._wake.send(b"x")
        if self._thread.is_alive():
            self._thread.join(5)
        else:
            self._clear()

    def _run(self) -> None:
        while not self._ending:
            for descriptor, events in self._poll.poll(1.0 if self._connections else None):
                if descriptor in self._listeners:
                    self._accept(self._listeners[descriptor])
                elif (connection := self._connections.get(descriptor)) is not None:
                    self._guarded(connection, events)
            self._expire()
        self._clear()

    def _clear(self) -> None:
        for connection in list(self._connections.values()):
            self._drop(connection)
        for listener in self._listeners.values():
            listener.close()
        self._poll.close()
        self._wake.close()
        self._woken.close()

    def _accept(self, listener: socket.socket) -> None:
        port = listener.getsockname()[1]
        while True:
            try:
                plain, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError:
                time.sleep(0.05)  # no more descriptors: nothing is gained by asking again at once
                return
            if len(self._connections) >= MOST_CONNECTIONS:
                # The one that is nearest to its end: an idle one, or one that was slow to say what it wants.
                self._drop(min(self._connections.values(), key=lambda one: one.deadline))
            plain.setblocking(False)
            connection = _Connection(plain, port, self._clock.monotonic())
            self._connections[plain.fileno()] = connection
            self._poll.register(plain, select.EPOLLIN)
            self._guarded(connection, select.EPOLLIN)

    def _drop(self, connection: _Connection) -> None:
        if self._connections.pop(connection.plain.fileno(), None) is None:
            return
        with contextlib.suppress(OSError):
            self._poll.unregister(connection.plain)
        connection.plain.close()

    def _expire(self) -> None:
        now = self._clock.monotonic()
        for connection in [one for one in self._connections.values() if one.deadline <= now]:
            self._drop(connection)

    def _guarded(self, connection: _Connection, events: int) -> None:
        try:
            self._serve(connection, events)
        except Exception:
            # Whatever a request provoked: it ends that connection, and nothing of it is told or logged.
            self.faults += 1
            self._drop(connection)

    def _serve(self, connection: _Connection, events: int) -> None:
        try:
            if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR) and not connection.outbox:
                received = connection.plain.recv(_RECEIVE)
                if not received:
                    self._drop(connection)
                    return
                connection.inbox += received
            self._answer(connection)
            if connection.last and not connection.outbox:
                self._drop(connection)
        except BlockingIOError:
            return
        except OSError:
            self._drop(connection)

    def _answer(self, connection: _Connection) -> None:
        """Answers what is whole, one request after the other; never reads on while a reply waits to go out."""
        while not connection.last or connection.outbox:
            if connection.outbox:
                try:
                    sent = connection.plain.send(connection.outbox)
                except BlockingIOError:
                    sent = 0
                connection.outbox = connection.outbox[sent:]
                if connection.outbox and not connection.stuck:
                    self._poll.modify(connection.plain, select.EPOLLOUT)
                elif connection.stuck and not connection.outbox:
                    self._poll.modify(connection.plain, select.EPOLLIN)
                connection.stuck = bool(connection.outbox)
                if connection.stuck:
                    return
                continue
            head, mark, rest = connection.inbox.partition(b"\r\n\r\n")
            if not mark:
                if len(connection.inbox) > MAX_HEAD:
                    connection.outbox, connection.last = self._refused(), True
                    continue
                return
            connection.inbox = rest
            now = self._clock.monotonic()
            # What is left over began now; an idle connection may stay a while.
            connection.deadline = now + (HEAD_TIME if rest else IDLE)
            try:
                asked = read(head)
            except Malformed:
                connection.outbox, connection.last = self._refused(), True
                continue
            connection.outbox = self._reply(asked, connection.port)
            connection.last = not asked.keep_alive

    def _refused(self) -> bytes:
        made = shapes.error("none", 400, "BadRequest", "not a request of this kind")
        return self._whole(made, "none", keep_alive=False)

    def _reply(self, head: Head, port: int) -> bytes:
        page = self._pages.get(head.path)
        if page is not None and head.method == "GET":
            return _http(200, page(), "text/plain; version=0.0.4; charset=utf-8", None, head.keep_alive)
        route = self._routes.get((port, head.path))
        shape = route.shape if route is not None else "none"
        return self._whole(self._judged(head, port, route, shape), shape, head.keep_alive)

    def _judged(self, head: Head, port: int, route: Route | None, shape: str) -> shapes.Answer:
        if (refused := guard.refusal(head, port)) is not None:
            status, code = refused
            return shapes.error(shape, status, code, "refused")
        if route is None:
            return shapes.error(shape, 404, "NotFound", "there is no such endpoint")
        if not guard.holds(shapes.presented(shape, head), route.secret):
            return shapes.unauthorized(shape, route.key_file, head)
        served, now = route.held(), self._clock.time()
        if served.credential is None:
            return shapes.error(shape, 503, *served.why)
        if served.credential.expires <= now:
            return shapes.error(shape, 503, "Expired", "the credential has ended")
        return shapes.answer(shape, head, served.credential, served.parameters, now)

    def _whole(self, made: shapes.Answer, shape: str, keep_alive: bool) -> bytes:
        key = (shape, made.status)
        self.counts[key] = self.counts.get(key, 0) + 1
        return _http(made.status, made.body(), made.kind, made.headers, keep_alive)


def _http(status: int, body: bytes, kind: str, headers: Mapping[str, str] | None, keep_alive: bool) -> bytes:
    added = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    head = (
        f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        f"Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n{added}"
        f"Connection: {'keep-alive' if keep_alive else 'close'}\r\n\r\n"
    )
    return head.encode("ascii") + body
