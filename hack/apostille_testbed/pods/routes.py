"""Names that a pod can reach: addresses on its loopback, forwarded to servers on the host."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from apostille_testbed.parties import Party
from apostille_testbed.pods.sandbox import Sandbox

log = logging.getLogger("apostille.testbed.pods")
FIRST_ADDRESS = ipaddress.IPv4Address("198.18.0.2")


@dataclass(frozen=True)
class Route:
    """Pods that connect to one of `hosts` on `port` reach `target`, an address and port on the host."""

    hosts: Sequence[str]
    port: int
    target: tuple[str, int]

    @classmethod
    def to_party(cls, party: Party) -> Self:
        """The names that a party of the testbed answers to by now, on the port that its clients use."""
        return cls(party.hosts, 443, ("127.0.0.1", party.port))


def addresses(routes: Sequence[Route]) -> dict[str, str]:
    """An address for each distinct host, stable in the order of the routes."""
    hosts = dict.fromkeys(host for route in routes for host in route.hosts)
    return {host: str(FIRST_ADDRESS + number) for number, host in enumerate(hosts)}


def targets(routes: Sequence[Route]) -> dict[tuple[str, int], tuple[str, int]]:
    """Where each (host, port) leads: of two routes for the same, the later counts."""
    return {(host, route.port): route.target for route in routes for host in route.hosts}


def hosts_file(hostname: str, pod_ip: str, known: dict[str, str]) -> str:
    """The pod's /etc/hosts."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost", f"{pod_ip} {hostname}"]
    return "\n".join([*lines, *(f"{address} {host}" for host, address in known.items())]) + "\n"


class Forwarder:
    """Serves the routes of one pod.

    The listening sockets were made in the pod's network namespace and handed over: accepting from them and connecting
    to the host's servers happens here, in the runner, so no process of the pod sees both networks.
    """

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()

    async def serve(self, sandbox: Sandbox, routes: Sequence[Route]) -> None:
        """Raises SandboxError when an address cannot be listened on."""
        known = addresses(routes)
        for (host, port), target in targets(routes).items():
            listening = await sandbox.listen(known[host], port)

            async def accept(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: tuple[str, int] = target
            ) -> None:
                task = asyncio.current_task()
                assert task is not None
                self._connections.add(task)
                try:
                    await _forward(reader, writer, target)
                finally:
                    self._connections.discard(task)

            self._servers.append(await asyncio.start_server(accept, sock=listening))

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        await asyncio.sleep(0)  # what was just accepted begins, and ends with the others
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: tuple[str, int]) -> None:
    with contextlib.suppress(asyncio.CancelledError):  # the pod ended; asyncio's server would log it as an error
        try:
            there_reader, there_writer = await asyncio.open_connection(*target)
            try:
                await asyncio.gather(_copy(reader, there_writer), _copy(there_reader, writer))
            finally:
                await _close(there_writer)
        except OSError as error:
            log.info("route to %s:%s: %s", *target, error)
        finally:
            await _close(writer)


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
