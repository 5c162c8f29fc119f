"""Waiting for the controller: until what was declared a moment ago is in force in the API server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from apostille.admission.declared import Declared
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.kube.client import LEASES, ApiError, Client
from apostille.model.conditions import Reason, find
from apostille.model.names import CONTROLLER_LEASE

POLL_SECONDS, LEADER_SECONDS = 0.05, 2.0
# A lease that is not renewed counts for its duration; clocks of two machines differ by less than this.
CLOCK_SECONDS = 5.0


class NotDone(Exception):
    """What was waited for has not come; the message says what to expect."""


class Waiting:
    """Deadlines are of the monotonic clock. Nobody is kept waiting for a controller that is not there."""

    def __init__(self, client: Client, declared: Declared) -> None:
        self._client, self._declared = client, declared
        self._asking = asyncio.Lock()
        self._led_until = 0.0

    async def for_grant(self, binding: WorkloadBinding, deadline: float) -> None:
        """Until the binding's grant is in force. Raises NotDone, ApiError."""
        known = self._declared.known_binding
        await self._until(lambda: _enforced(known(binding.namespace, binding.name), binding), deadline)

    async def for_trust(self, trust: FederationTrust, deadline: float) -> None:
        """Until the API server asks about the pods that the trust allows, as it is now. Raises NotDone, ApiError."""
        await self._until(lambda: _selected(self._declared.known_trust(trust.name), trust), deadline)

    async def _until(self, condition: Callable[[], bool], deadline: float) -> None:
        while not condition():
            if time.monotonic() >= deadline:
                raise NotDone("retry in a few seconds (controllers such as Deployments and Jobs do)")
            if not await self._is_led():
                raise NotDone(f"no Apostille controller is running (namespace {self._declared.own_namespace})")
            await asyncio.sleep(POLL_SECONDS)

    async def _is_led(self) -> bool:
        """Whether a controller is at work, as of a moment ago."""
        async with self._asking:
            if time.monotonic() >= self._led_until and await self._lease_is_held():
                self._led_until = time.monotonic() + LEADER_SECONDS
            return time.monotonic() < self._led_until

    async def _lease_is_held(self) -> bool:
        path = LEASES.path(CONTROLLER_LEASE, namespace=self._declared.own_namespace)
        try:
            lease = await self._client.get(path)
        except ApiError as error:
            if error.code == 404:
                return False
            raise
        spec = lease.get("spec") or {}
        if not spec.get("holderIdentity") or not spec.get("renewTime"):
            return False
        age = datetime.now(UTC) - datetime.fromisoformat(spec["renewTime"])
        return age.total_seconds() < float(spec.get("leaseDurationSeconds") or 0) + CLOCK_SECONDS


def _enforced(known: WorkloadBinding | None, wanted: WorkloadBinding) -> bool:
    if known is None or known.uid != wanted.uid:
        return False
    condition = find(known.raw_status.get("conditions") or [], "Enforced")
    return condition.get("status") == "True" and condition.get("observedGeneration", 0) >= wanted.generation


def _selected(known: FederationTrust | None, wanted: FederationTrust) -> bool:
    """True also where waiting cannot help: a refused or suspended trust selects nothing."""
    if known is None or known.uid != wanted.uid:
        return False
    ready = find(known.raw_status.get("conditions") or [], "Ready")
    waiting = (Reason.ACTIVATING, Reason.ADMISSION_UNREACHABLE, None)
    return ready.get("observedGeneration", 0) >= wanted.generation and ready.get("reason") not in waiting
