"""A reverse proxy before an API server, that does to requests and watches what networks and servers do now and then."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from apostille_testbed import ControlPlane

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "content-encoding"}


@dataclass
class Rule:
    """What happens to the requests that match; ``hits`` counts them."""

    method: str
    path: re.Pattern[str]
    act: Callable[[web.Request], web.Response | None]
    hits: int = 0


@dataclass
class Held:
    """One request that is under way until it is let go."""

    method: str
    path: re.Pattern[str]
    hits: int = 0
    answers: list[int] = field(default_factory=list)
    _free: threading.Event = field(default_factory=threading.Event)
    _done: threading.Event = field(default_factory=threading.Event)

    def release(self) -> list[int]:
        """It goes on, whoever sent it; returns the codes that the API server answered."""
        self._free.set()
        assert self._done.wait(60)
        return self.answers


@dataclass
class Strike:
    """Comes once: when the API server has done what was asked, and before whoever asked knows."""

    method: str
    path: re.Pattern[str]
    act: Callable[[], None]
    hit: threading.Event = field(default_factory=threading.Event)


@dataclass
class Proxy:
    """Passes everything on, but for what rules and switches say."""

    url: str = ""
    rules: list[Rule] = field(default_factory=list)
    strikes: list[Strike] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)
    silent: re.Pattern[str] | None = None
    """Watches of these paths stay open and carry nothing more."""
    deaf: set[int] = field(default_factory=set)
    """Watches that carry nothing more, whatever else is said."""
    swallowed: int = 0
    """Lines of watches that were not passed on."""
    seen: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of everything that came, in order."""
    _streams: dict[int, tuple[str, asyncio.Queue[bytes | None]]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _loop: asyncio.AbstractEventLoop | None = None

    def answer(self, method: str, path: str, status: int, body: Any, times: int = 1, **headers: str) -> Rule:
        """The next ``times`` of these requests are answered here."""

        def act(request: web.Request) -> web.Response | None:
            return web.json_response(body, status=status, headers=headers) if rule.hits <= times else None

        rule = Rule(method, re.compile(path), act)
        self.rules.append(rule)
        return rule

    def drop(self, method: str, path: str) -> Rule:
        """These requests arrive and are never answered, nor passed on."""
        rule = Rule(method, re.compile(path), lambda request: None)
        rule.act = _hold
        self.rules.append(rule)
        return rule

    def hold(self, method: str, path: str) -> Held:
        """The next of these requests arrives when it is released, also when nobody waits for its answer any more."""
        made = Held(method, re.compile(path))
        self.held.append(made)
        return made

    def strike(self, method: str, path: str, act: Callable[[], None]) -> Strike:
        """After the next of these requests was done, and before its answer goes back."""
        made = Strike(method, re.compile(path), act)
        self.strikes.append(made)
        return made

    def inject(self, path: str, event: dict[str, Any]) -> int:
        """Sends an event of our own into the watches of a path; returns into how many."""
        pattern, line = re.compile(path), json.dumps(event).encode() + b"\n"
        return self._to_streams(pattern, line)

    def cut(self, path: str) -> int:
        """Ends the watches of a path."""
        return self._to_streams(re.compile(path), None)

    def watches(self, path: str = ".") -> dict[int, str]:
        """Those that are open, with what they watch."""
        return {number: at for number, (at, _) in list(self._streams.items()) if re.search(path, at)}

    def requests(self, method: str, path: str) -> int:
        """How many came."""
        return sum(1 for of, at in list(self.seen) if of == method and re.search(path, at))

    def _to_streams(self, pattern: re.Pattern[str], what: bytes | None) -> int:
        async def put() -> int:
            found = [queue for path, queue in self._streams.values() if pattern.search(path)]
            for queue in found:
                queue.put_nowait(what)
            return len(found)

        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(put(), self._loop).result(10)

    async def serve(self, plane: ControlPlane, started: Callable[[str], None], stop: asyncio.Event) -> None:
        self._loop = asyncio.get_running_loop()
        certificate, key = plane.authority.server("proxy", ["127.0.0.1"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        upstream = ssl.create_default_context(cafile=str(plane.ca))
        connector = aiohttp.TCPConnector(ssl=upstream, limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:

            async def handle(request: web.Request) -> web.StreamResponse:
                return await self._pass_on(plane.url, session, request)

            application = web.Application(client_max_size=16 * 1024 * 1024)
            application.router.add_route("*", "/{path:.*}", handle)
            # Whoever hangs up watches no more; else its watch would count as open until something comes through.
            runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
            await site.start()
            started(f"https://127.0.0.1:{runner.addresses[0][1]}")
            await stop.wait()
            await runner.cleanup()
        await asyncio.sleep(0.25)  # transports with TLS close in turns of the loop

    async def _pass_on(self, server: str, session: aiohttp.ClientSession, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.method, request.path_qs))
        for rule in self.rules:
            if rule.method == request.method and rule.path.search(request.path_qs):
                rule.hits += 1
                if rule.act is _hold:
                    await asyncio.Event().wait()
                if (answer := rule.act(request)) is not None:
                    return answer
        headers = {key: value for key, value in request.headers.items() if key.lower() not in HOP_BY_HOP}
        body = await request.read()
        for held in [one for one in self.held if one.method == request.method and one.path.search(request.path_qs)]:
            self.held.remove(held)
            # Of its own: whoever sent it may be gone when it arrives.
            await asyncio.shield(asyncio.create_task(_late(held, server, session, request, headers, body)))
            return web.Response(status=504)
        timeout = aiohttp.ClientTimeout(total=None)
        try:
            async with session.request(
                request.method, server + request.path_qs, headers=headers, data=body or None, timeout=timeout
            ) as upstream:
                for strike in [one for one in self.strikes if one.method == request.method]:
                    if strike.path.search(request.path_qs) and upstream.status < 300:
                        self.strikes.remove(strike)
                        strike.act()
                        strike.hit.set()
                response = web.StreamResponse(status=upstream.status)
                for key, value in upstream.headers.items():
                    if key.lower() not in HOP_BY_HOP - {"content-encoding"}:
                        response.headers.add(key, value)
                await response.prepare(request)
                await self._stream(request, upstream, response)
                return response
        except aiohttp.ClientError:
            return web.Response(status=502, text="the API server is away")

    async def _stream(
        self, request: web.Request, upstream: aiohttp.ClientResponse, response: web.StreamResponse
    ) -> None:
        if request.query.get("watch") != "true":
            async for chunk in upstream.content.iter_any():
                await response.write(chunk)
            return
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        number = next(self._numbers)
        self._streams[number] = (request.path, queue)

        async def read() -> None:
            try:
                async for line in upstream.content:
                    queue.put_nowait(line)
            except aiohttp.ClientError:
                pass
            queue.put_nowait(None)

        reading = asyncio.create_task(read())
        try:
            while (line := await queue.get()) is not None:
                silent = self.silent is not None and self.silent.search(request.path)
                if silent or number in self.deaf:
                    self.swallowed += 1
                else:
                    await response.write(line)
        finally:
            reading.cancel()
            del self._streams[number]


async def _late(
    held: Held, server: str, session: aiohttp.ClientSession, request: web.Request, headers: dict[str, str], body: bytes
) -> None:
    held.hits += 1
    await asyncio.to_thread(held._free.wait)
    async with session.request(request.method, server + request.path_qs, headers=headers, data=body) as answer:
        held.answers.append(answer.status)
    held._done.set()


def _hold(request: web.Request) -> web.Response | None:
    raise NotImplementedError


@contextmanager
def proxy(plane: ControlPlane) -> Iterator[Proxy]:
    """Serves in a thread of its own."""
    made, ready = Proxy(), threading.Event()
    ends: list[Callable[[], None]] = []

    def started(url: str) -> None:
        made.url = url
        ready.set()

    async def main() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        ends.append(lambda: loop.call_soon_threadsafe(stop.set))  # type: ignore[arg-type,return-value]
        await made.serve(plane, started, stop)

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="proxy", daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield made
    finally:
        ends[0]()
        thread.join(10)
