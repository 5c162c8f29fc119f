"""kopf as the event source for the two kinds: the only place that imports it.

Only ``on.event`` is used: no finalizers, no annotations, no state of kopf's on our objects. Its watch does not notice
deletions that fall into a gap (410 Gone), so the controller also lists now and then.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from typing import Any

import kopf

from apostille.kube.connection import Connection
from apostille.model.names import BINDING_PLURAL, GROUP, TRUST_PLURAL, VERSION

log = logging.getLogger(__name__)

Seen = Callable[[str, str, dict[str, Any]], None]


class _Backoffs:
    """Endless pauses with jitter: a missing API server is waited for, not died of."""

    def __iter__(self) -> Iterator[float]:
        pause = 0.5
        while True:
            yield pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
            pause = min(pause * 2, 10.0)


async def follow(connection: Connection, seen: Seen) -> None:
    """Calls ``seen(plural, type, raw)`` for every event, until cancelled."""
    while True:
        try:
            await kopf.operator(
                registry=_registry(connection, seen), settings=_settings(), clusterwide=True, standalone=True
            )
            log.warning("event source ended, starting it again")
        except Exception as error:
            # An ERROR event ends kopf for good; the statuses and webhooks must not end with it.
            log.warning("event source failed, starting it again", extra={"reason": f"{type(error).__name__}: {error}"})
        await asyncio.sleep(1.0)


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
    return settings
