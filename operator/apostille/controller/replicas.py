"""Which leaf each replica of the admission server serves: seen by a handshake with each, not assumed."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from apostille.kube.client import PODS, ApiError, Client

SELECTOR = "app.kubernetes.io/name=apostille,app.kubernetes.io/component=admission"
PORT_NAME = "https"
HANDSHAKE_SECONDS = 5.0
# Asked often after a switch, which replicas follow within moments; then ever more rarely.
PAUSE, MAX_PAUSE, IDLE_PAUSE = 0.2, 10.0, 60.0

Address = tuple[str, int]


class Replicas:
    """Looks while it is asked to, and now and then; ``changed()`` is called when something else is seen.

    ``fixed`` are addresses to ask; where there are none, the pods of the admission Deployment are.
    """

    def __init__(
        self, client: Client, own_namespace: str, fixed: Sequence[Address], changed: Callable[[], None]
    ) -> None:
        self._client, self._fixed, self._changed = client, fixed, changed
        self._path = PODS.path(namespace=own_namespace)
        self._wake = asyncio.Event()
        self._pause, self._wanted = PAUSE, False
        self.seen: Mapping[str, str | None] | None = None
        """The leaf of each, by `fingerprint`; None where it could not be seen. None before the first look."""

    def attend(self, wanted: bool) -> None:
        """Whether something else is waited for than what was seen last."""
        if wanted and not self._wanted:
            self.hurry()
        self._wanted = wanted

    def hurry(self) -> None:
        """Something is about to change."""
        self._pause = PAUSE
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                seen = await self.look()
            except ApiError:
                seen = None
            if seen != self.seen:
                self.seen = seen
                self._changed()
            try:
                async with asyncio.timeout(self._pause):
                    await self._wake.wait()
            except TimeoutError:
                self._pause = min(self._pause * 1.5, MAX_PAUSE if self._wanted else IDLE_PAUSE)
            self._wake.clear()

    async def look(self) -> dict[str, str | None]:
        """Asks each once, all at the same time. Raises ApiError."""
        found = await self._addresses()
        leaves = await asyncio.gather(*(_leaf(address) for address in found.values()))
        return dict(zip(found, leaves, strict=True))

    async def _addresses(self) -> dict[str, Address | None]:
        if self._fixed:
            return {f"{host}:{port}": (host, port) for host, port in self._fixed}
        pods, _ = await self._client.list_all(self._path, labelSelector=SELECTOR)
        return {str(pod["metadata"]["name"]): _address(pod) for pod in pods if _may_serve(pod)}


def _may_serve(pod: Mapping[str, Any]) -> bool:
    # One that is on no node yet reads the Secret when it starts; one that is told to end still answers.
    over = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
    return not over and bool((pod.get("spec") or {}).get("nodeName"))


def _address(pod: Mapping[str, Any]) -> Address | None:
    host = (pod.get("status") or {}).get("podIP")
    for container in pod["spec"].get("containers") or ():
        for port in container.get("ports") or ():
            if host and port.get("name") == PORT_NAME:
                return str(host), int(port["containerPort"])
    return None


async def _leaf(address: Address | None) -> str | None:
    if address is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # whatever it serves is to be seen
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            _, writer = await asyncio.open_connection(*address, ssl=context)
    except (OSError, TimeoutError):
        return None
    shown: ssl.SSLObject = writer.get_extra_info("ssl_object")
    der = shown.getpeercert(binary_form=True)
    writer.transport.abort()
    return hashlib.sha256(der).hexdigest() if der else None
