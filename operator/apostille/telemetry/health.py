"""``/livez``, ``/readyz`` and ``/metrics`` of a process that serves nothing else, in clear text."""

from __future__ import annotations

import socket
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

Check = Callable[[], str]
"""Returns what is wrong, or nothing."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; ``::`` takes IPv4 as well, or alone where a machine has no IPv6. Raises OSError."""
    # asyncio and aiohttp make a socket for `::` that refuses IPv4 (IPV6_V6ONLY).
    if host == "::" and socket.has_dualstack_ipv6():
        return socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)
    if host == "::":
        host = "0.0.0.0"  # noqa: S104 - as `::` says
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=128)


async def serve(host: str, port: int, alive: Check, ready: Check, measure: Callable[[], None]) -> web.AppRunner:
    """Serves until the runner is cleaned up; ``measure`` is called before metrics are read. Raises OSError."""

    def check(state: Check) -> Callable[[web.Request], object]:
        async def handle(http: web.Request) -> web.Response:
            return web.Response(status=503, text=wrong) if (wrong := state()) else web.Response(text="ok")

        return handle

    async def metrics(http: web.Request) -> web.Response:
        measure()
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    application = web.Application()
    application.router.add_get("/livez", check(alive))  # type: ignore[arg-type]
    application.router.add_get("/readyz", check(ready))  # type: ignore[arg-type]
    application.router.add_get("/metrics", metrics)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listen(host, port)).start()
    return runner
