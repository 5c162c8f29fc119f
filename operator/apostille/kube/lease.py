"""Leader election by a Lease (coordination.k8s.io/v1), as client-go does it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from datetime import UTC, datetime

from apostille.kube.client import LEASES, ApiError, Client, Object
from apostille.telemetry.logging import about

log = logging.getLogger(__name__)

# client-go's LeaseDuration, RenewDeadline and RetryPeriod: who leads gives up well before another may take over.
DURATION, RENEW, RETRY = 15.0, 10.0, 2.0
# A pod that is told to end has 30 seconds for all it has to do; the lease ends by itself after DURATION.
RELEASES, RELEASE_SECONDS = 3, 5.0


class LeaseLost(Exception):
    """The lease could not be renewed in time: whoever held it must stop at once."""


class Lease:
    """One Lease object. Time is judged by how long an *observed* record stayed unchanged, never by others' clocks.

    ``identity`` must differ between processes that run at the same time. All times are the event loop's.
    """

    def __init__(self, client: Client, namespace: str, name: str, identity: str) -> None:
        self._client, self._namespace, self._name, self.identity = client, namespace, name, identity
        self._about = about("Lease", name, namespace)
        self._observed: tuple[str, float] = ("", 0.0)
        self._until = 0.0
        self._problem = ""
        self._released = False
        self.seen = False
        """Whether the record was read, or made, at all."""
        self.heard = _now()
        """When the API server last answered."""

    @property
    def held(self) -> bool:
        """Whether this process surely leads."""
        return _now() < self._until

    def check(self) -> None:
        """Raises LeaseLost unless this process surely leads, also after it was stopped for a while and went on."""
        if not self.held:
            raise LeaseLost(f"lease {self._name} is not held any more")

    async def acquire(self) -> None:
        """Returns once this process is the leader."""
        told = ""
        while not await self._try():
            if self._problem != told:
                log.info("not leading", extra={**self._about, "reason": self._problem})
                told = self._problem
            await asyncio.sleep(RETRY * random.uniform(1.0, 1.2))  # noqa: S311 - jitter
        log.info("leading", extra={**self._about, "identity": self.identity})

    async def hold(self) -> None:
        """Renews until cancelled. Raises LeaseLost."""
        while True:
            await asyncio.sleep(RETRY)
            # A request that hangs must not outlive the lease.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._until):
                    await self._try()
            if not self.held:
                raise LeaseLost(f"lease {self._name} was not renewed: {self._problem or 'the API server hangs'}")

    async def release(self) -> None:
        """Lets the next one start at once, unless the API server hangs. Nothing is written under it after this."""
        self._until, self._released = 0.0, True
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._give_back()
        except TimeoutError:
            log.warning("lease not released", extra={**self._about, "reason": "the API server hangs"})
        except ApiError as error:
            log.warning("lease not released", extra={**self._about, "reason": str(error)})

    async def _give_back(self) -> None:
        for _ in range(RELEASES):
            lease = await self._client.get(self._path)
            if lease["spec"].get("holderIdentity") != self.identity:
                return
            lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
            with contextlib.suppress(ApiError):  # a renewal that was on its way
                await self._client.replace(self._path, lease)
                return

    @property
    def _path(self) -> str:
        return LEASES.path(self._name, namespace=self._namespace)

    async def _try(self) -> bool:
        sent = _now()
        if self._released:
            return False
        try:
            mine = await self._take()
        except ApiError as error:
            # 409: somebody was faster.
            self._problem = str(error)
            return False
        self.heard, self.seen = _now(), True
        if mine:
            self._problem = ""
        # Counted from before the request: nobody can have seen the renewal earlier.
        self._until = sent + RENEW if mine else 0.0
        return mine

    async def _take(self) -> bool:
        """Whether the record now names this process. Raises ApiError."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        try:
            lease = await self._client.get(self._path)
        except ApiError as error:
            if error.code != 404:
                raise
            await self._client.create(LEASES.path(namespace=self._namespace), self._new(now))
            return True
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder != self.identity:
            record = lease["metadata"]["resourceVersion"]
            if self._observed[0] != record:
                self._observed = (record, _now())
            waited = _now() - self._observed[1]
            if holder and waited < float(spec.get("leaseDurationSeconds") or DURATION):
                self._problem = f"{holder} leads"
                return False
            spec |= {"acquireTime": now, "leaseTransitions": int(spec.get("leaseTransitions") or 0) + 1}
        spec |= {"holderIdentity": self.identity, "leaseDurationSeconds": int(DURATION), "renewTime": now}
        lease["spec"] = spec
        await self._client.replace(self._path, lease)
        return True

    def _new(self, now: str) -> Object:
        return {
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


def _now() -> float:
    return asyncio.get_running_loop().time()
