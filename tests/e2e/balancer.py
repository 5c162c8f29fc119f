"""A Service before several admission servers: new connections go to who is ready, open ones stay where they are."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

POLL = 0.25
"""Seconds between two looks at who is ready; a kubelet takes two, an API server a little more."""

_ANYBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
_ANYBODY.check_hostname, _ANYBODY.verify_mode = False, ssl.CERT_NONE  # as a kubelet's probe


@dataclass
class Balancer:
    """Forwards bytes. ``backends`` are the ports of the servers; a change is seen with the next connection."""

    port: int
    backends: list[int]
    ready: set[int] = field(default_factory=set)
    """As last seen."""
    connections: int = 0

    async def _watch(self) -> None:
        while True:
            for port in list(self.backends):
                (self.ready.add if await _is_ready(port) else self.ready.discard)(port)
            await asyncio.sleep(POLL)

    async def serve(self, started: threading.Event, stop: asyncio.Event) -> None:
        turns = itertools.count()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            first = next(turns)
            candidates = [port for port in self.backends if port in self.ready]
            ends = [writer]
            try:
                for number in range(len(candidates)):
                    with contextlib.suppress(OSError):
                        there = await asyncio.open_connection(
                            "127.0.0.1", candidates[(first + number) % len(candidates)]
                        )
                        ends.append(there[1])
                        await asyncio.gather(_pass(reader, there[1]), _pass(there[0], writer))
                        break
            except asyncio.CancelledError:
                pass  # the end of all of this
            finally:
                for end in ends:
                    end.transport.abort()

        watching = asyncio.create_task(self._watch())
        server = await asyncio.start_server(accept, "127.0.0.1", self.port)
        started.set()
        await stop.wait()
        watching.cancel()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.1)  # transports close in turns of the loop


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.close()


async def _is_ready(port: int) -> bool:
    try:
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=_ANYBODY)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")
            status = await reader.readline()
            writer.transport.abort()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in status


@contextlib.contextmanager
def balancer(port: int, backends: list[int]) -> Iterator[Balancer]:
    """Serves in a thread of its own."""
    made, started = Balancer(port, backends), threading.Event()
    ends: list[object] = []

    async def main() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        ends.append(lambda: loop.call_soon_threadsafe(stop.set))
        await made.serve(started, stop)

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="balancer", daemon=True)
    thread.start()
    assert started.wait(30)
    try:
        yield made
    finally:
        ends[0]()  # type: ignore[operator]
        thread.join(10)
