"""kopf as the event source for the two kinds: the only place that imports it.

Only ``on.event`` is used: no finalizers, no annotations, no state of kopf's on our objects. kopf has a thread and an
event loop of its own. In ours it would take over SIGTERM; when it ends — and any ERROR event of a watch ends it — it
cancels every task that is younger than itself, whosever it is, and kills the process ten minutes later
(``kopf/_core/reactor/running.py``: run_tasks, ultimate_termination). Its watch does not notice deletions that fall into
a gap (410 Gone), so the controller also lists: before each start, and now and then.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import kopf

from apostille.kube.connection import Connection
from apostille.model.names import BINDING_PLURAL, GROUP, TRUST_PLURAL, VERSION

log = logging.getLogger(__name__)

Seen = Callable[[str, str, dict[str, Any]], None]

RESTART_PAUSE = 1.0
STOP_SECONDS = 2.0


class _Backoffs:
    """Endless pauses with jitter: a missing API server is waited for, not died of."""

    def __iter__(self) -> Iterator[float]:
        pause = 0.5
        while True:
            yield pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
            pause = min(pause * 2, 5.0)


class EventSource:
    """``seen(plural, type, raw)`` is called in the caller's loop for every event.

    ``type`` is empty for what is listed when a watch begins anew. ``prepare`` is awaited before each start: it returns
    once the two kinds are served, and has listed them.
    """

    def __init__(self, connection: Connection, seen: Seen, prepare: Callable[[], Awaitable[None]]) -> None:
        self._connection, self._seen, self._prepare = connection, seen, prepare
        self._stop: Callable[[], None] | None = None

    async def run(self) -> None:
        """Until cancelled."""
        # It says that signals are ignored, which is why it is not in the main thread.
        logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
        while True:
            await self._prepare()
            reason = await self._follow()
            log.warning("event source ended, starting it again", extra={"reason": reason})
            await asyncio.sleep(RESTART_PAUSE * random.uniform(0.5, 1.0))  # noqa: S311 - jitter

    def restart(self) -> None:
        """Ends the present watches, so that new ones begin."""
        if self._stop is not None:
            self._stop()

    async def _follow(self) -> str:
        """Why it ended."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[str] = loop.create_future()

        def end(reason: str) -> None:
            if not ended.done():
                ended.set_result(reason)

        def work() -> None:
            reason = "no error"
            try:
                asyncio.run(self._operate(loop))
            except BaseException as error:
                reason = f"{type(error).__name__}: {error}"
            _call(loop, end, reason)

        threading.Thread(target=work, name="kopf", daemon=True).start()
        try:
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            self.restart()
            await asyncio.wait([ended], timeout=STOP_SECONDS)
            raise

    async def _operate(self, loop: asyncio.AbstractEventLoop) -> None:
        stop, own = asyncio.Event(), asyncio.get_running_loop()
        self._stop = lambda: _call(own, stop.set)

        def seen(plural: str, kind: str, raw: dict[str, Any]) -> None:
            _call(loop, self._seen, plural, kind, raw)

        await kopf.operator(
            registry=_registry(self._connection, seen),
            settings=_settings(),
            clusterwide=True,
            standalone=True,
            stop_flag=stop,
        )


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: Any) -> None:
    """In the other thread's loop, unless that has ended with its process."""
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        log.debug("event loop has ended")


def _registry(connection: Connection, seen: Seen) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:
        certificate, key = connection.client_certificate or (None, None)
        return kopf.ConnectionInfo(
            server=connection.server,
            ca_path=connection.ca_file,
            certificate_path=certificate,
            private_key_path=key,
            scheme="Bearer" if connection.token else None,
            token=connection.token,
        )

    for plural in (TRUST_PLURAL, BINDING_PLURAL):

        @kopf.on.event(GROUP, VERSION, plural, registry=registry, id=plural)
        async def event(event: Any, plural: str = plural, **_: Any) -> None:
            seen(plural, event.get("type") or "", dict(event["object"]))

    return registry


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    settings.networking.connect_timeout = 10
    settings.networking.request_timeout = 60
    settings.networking.error_backoffs = _Backoffs()
    settings.queueing.idle_timeout = 0.5
    settings.process.ultimate_exiting_timeout = None
    return settings
