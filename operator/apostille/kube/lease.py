"""Leader election by a Lease (coordination.k8s.io/v1), as client-go does it."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime

from apostille.kube.client import LEASES, ApiError, Client, Object

log = logging.getLogger(__name__)

DURATION, RENEW, RETRY = 15.0, 10.0, 2.0


class LeaseLost(Exception):  # noqa: N818 - an event, not a mistake
    """The lease could not be renewed in time: whoever held it must stop at once."""


class Lease:
    """One Lease object. Time is judged by how long an *observed* record stayed unchanged, never by others' clocks."""

    def __init__(self, client: Client, namespace: str, name: str, identity: str) -> None:
        self._client, self._namespace, self._name, self.identity = client, namespace, name, identity
        self._observed: tuple[str, float] = ("", 0.0)

    async def acquire(self) -> None:
        """Returns once this process is the leader."""
        while not await self._try():
            await asyncio.sleep(RETRY)
        log.info("leading", extra={"lease": self._name, "identity": self.identity})

    async def hold(self) -> None:
        """Renews until cancelled. Raises LeaseLost."""
        renewed = time.monotonic()
        while True:
            await asyncio.sleep(RETRY)
            if await self._try():
                renewed = time.monotonic()
            elif time.monotonic() - renewed > RENEW:
                raise LeaseLost(f"lease {self._name} was not renewed for {RETRY + RENEW:.0f} seconds")

    async def release(self) -> None:
        """Lets the next one start at once."""
        try:
            lease = await self._client.get(self._path)
            if lease["spec"].get("holderIdentity") == self.identity:
                lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                await self._client.replace(self._path, lease)
        except ApiError as error:
            log.warning("lease not released", extra={"reason": str(error)})

    @property
    def _path(self) -> str:
        return LEASES.path(self._name, namespace=self._namespace)

    async def _try(self) -> bool:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        try:
            lease = await self._client.get(self._path)
        except ApiError as error:
            if error.code != 404:
                return False
            return await self._create(now)
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder != self.identity:
            record = lease["metadata"]["resourceVersion"]
            if self._observed[0] != record:
                self._observed = (record, time.monotonic())
            waited = time.monotonic() - self._observed[1]
            if holder and waited < float(spec.get("leaseDurationSeconds") or DURATION):
                return False
            spec |= {"acquireTime": now, "leaseTransitions": int(spec.get("leaseTransitions") or 0) + 1}
        spec |= {"holderIdentity": self.identity, "leaseDurationSeconds": int(DURATION), "renewTime": now}
        lease["spec"] = spec
        try:
            await self._client.replace(self._path, lease)
        except ApiError:
            return False  # somebody was faster
        return True

    async def _create(self, now: str) -> bool:
        body: Object = {
            "apiVersion": LEASES.api_version,
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self.identity,
                "leaseDurationSeconds": int(DURATION),
                "acquireTime": now,
                "renewTime": now,
                "leaseTransitions": 0,
            },
        }
        try:
            await self._client.create(LEASES.path(namespace=self._namespace), body)
        except ApiError:
            return False
        return True
