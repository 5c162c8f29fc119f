"""What is declared, as the admission server knows it: local copies, with a live read where a copy may be behind."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

from apostille.core.judge import Context
from apostille.core.resolve import ResolvedBinding, resolve
from apostille.kinds import decode
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.kube.client import BINDINGS, LEASES, TRUSTS, ApiError, Client
from apostille.kube.issuer import IssuerUnknown, discover
from apostille.kube.reflector import Reflector
from apostille.model.conditions import Reason, find
from apostille.model.identity import Issuer, ServiceAccount
from apostille.model.names import CONTROLLER_LEASE
from apostille.rules.addresses import AddressPolicy

log = logging.getLogger(__name__)
T = TypeVar("T")

ISSUER_SECONDS = 300.0
POLL_SECONDS, LEADER_SECONDS = 0.05, 2.0
# How long after its admission a binding may be unknown to the local copies.
SETTLE_SECONDS = 5.0
# A lease that is not renewed counts for its duration; clocks of two machines differ by less than this.
CLOCK_SECONDS = 5.0


class NotDone(Exception):
    """What was waited for has not come; the message says what to expect."""


class Declared:
    """Trusts, bindings and the issuer."""

    def __init__(
        self, client: Client, own_namespace: str, service_account: str, addresses: AddressPolicy | None = None
    ) -> None:
        self._client, self.own_namespace, self._service_account = client, own_namespace, service_account
        self._addresses = addresses or AddressPolicy()
        self.trusts: Reflector[FederationTrust] = Reflector(client, TRUSTS.path(), readable(decode.federation_trust))
        self.bindings: Reflector[WorkloadBinding] = Reflector(
            client, BINDINGS.path(), readable(decode.workload_binding)
        )
        self.issuer: Issuer | None = None
        self._unsettled: dict[str, float] = {}
        self._leader = asyncio.Lock()
        self._led_until = 0.0

    async def run(self) -> None:
        """Keeps the copies until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.trusts.run())
            group.create_task(self.bindings.run())
            group.create_task(self._follow_issuer())

    @property
    def ready(self) -> bool:
        """Whether answers can be trusted: both copies are complete and the issuer is known."""
        return self.trusts.synced.is_set() and self.bindings.synced.is_set() and self.issuer is not None

    @property
    def context(self) -> Context:
        """For the rules."""
        return Context(self.issuer, self.own_namespace, self._addresses)

    async def _follow_issuer(self) -> None:
        while True:
            try:
                self.issuer = await discover(self._client, self.own_namespace, self._service_account)
                await asyncio.sleep(ISSUER_SECONDS)
            except IssuerUnknown as error:
                log.warning("issuer unknown", extra={"reason": str(error)})
                await asyncio.sleep(2)

    def admitted(self, namespace: str) -> None:
        """A binding of this namespace was just admitted: until the copies know it, its pods are judged by reads."""
        now = time.monotonic()
        self._unsettled = {known: at for known, at in self._unsettled.items() if now - at < SETTLE_SECONDS}
        self._unsettled[namespace] = now

    async def bound_to(self, account: ServiceAccount) -> list[ResolvedBinding]:
        """Bindings in force for a service account. Raises ApiError.

        From the local copies where they speak of any; else, and where they may be behind, from the API server: a pod
        may come in the same breath as its binding.
        """
        settled = time.monotonic() - self._unsettled.get(account.namespace, -SETTLE_SECONDS) >= SETTLE_SECONDS
        if settled and (known := self._live(self.trusts, [b for b in self.bindings if account in b.service_accounts])):
            return known
        raw, _ = await self._client.list_all(BINDINGS.path(namespace=account.namespace))
        read = [binding for item in raw if (binding := readable(decode.workload_binding)(item)) is not None]
        mine = [binding for binding in read if account in binding.service_accounts]
        live = self._live(self.trusts, mine)
        # A trust may have come, or come to allow this, a moment ago as well.
        return live if len(live) == len(mine) else self._live(await self.read_trusts(), mine)

    async def read_trusts(self) -> list[FederationTrust]:
        """All trusts, read from the API server. Raises ApiError."""
        raw, _ = await self._client.list_all(TRUSTS.path())
        return [trust for item in raw if (trust := readable(decode.federation_trust)(item)) is not None]

    async def read_trust(self, name: str) -> FederationTrust | None:
        """One trust, read from the API server; None where there is none. Raises ApiError on other answers."""
        try:
            return readable(decode.federation_trust)(await self._client.get(TRUSTS.path(name)))
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def _live(self, trusts: Iterable[FederationTrust], bindings: list[WorkloadBinding]) -> list[ResolvedBinding]:
        return resolve(trusts, bindings, self.context, datetime.now(UTC)).live if bindings else []

    async def wait_for_grant(self, binding: WorkloadBinding, deadline: float) -> None:
        """Until the binding's grant is in force, at most until ``deadline`` (monotonic). Raises NotDone, ApiError."""
        await self._until(lambda: _enforced(self.bindings.get(binding.namespace, binding.name), binding), deadline)

    async def wait_for_trust(self, trust: FederationTrust, deadline: float) -> None:
        """Until the API server asks about the pods that the trust allows, as it is. Raises NotDone, ApiError."""
        await self._until(lambda: _selected(self.trusts.get("", trust.name), trust), deadline)

    async def _until(self, condition: Callable[[], bool], deadline: float) -> None:
        while not condition():
            if time.monotonic() >= deadline:
                raise NotDone("retry in a few seconds (controllers such as Deployments and Jobs do)")
            if not await self._is_led():
                raise NotDone(f"no Apostille controller is running (namespace {self.own_namespace})")
            await asyncio.sleep(POLL_SECONDS)

    async def _is_led(self) -> bool:
        """Whether a controller is at work, as of a moment ago: waiting for a dead one only keeps people waiting.

        Raises ApiError.
        """
        async with self._leader:
            if time.monotonic() >= self._led_until and await self._read_lease():
                self._led_until = time.monotonic() + LEADER_SECONDS
            return time.monotonic() < self._led_until

    async def _read_lease(self) -> bool:
        try:
            lease = await self._client.get(LEASES.path(CONTROLLER_LEASE, namespace=self.own_namespace))
        except ApiError as error:
            if error.code == 404:
                return False
            raise
        spec = lease.get("spec") or {}
        if not spec.get("holderIdentity") or not spec.get("renewTime"):
            return False
        age = datetime.now(UTC) - datetime.fromisoformat(spec["renewTime"])
        return age.total_seconds() < float(spec.get("leaseDurationSeconds") or 0) + CLOCK_SECONDS


def readable(reader: Callable[[dict[str, Any]], T]) -> Callable[[dict[str, Any]], T | None]:
    """Decodes, or leaves out what no longer fits the schema: the controller reports it."""

    def read(raw: dict[str, Any]) -> T | None:
        try:
            return reader(raw)
        except decode.InvalidObject:
            return None

    return read


def _enforced(known: WorkloadBinding | None, wanted: WorkloadBinding) -> bool:
    if known is None or known.uid != wanted.uid:
        return False
    condition = find(known.raw_status.get("conditions") or [], "Enforced")
    # In a namespace that is spared for its foreign users the grant is in force as well.
    granted = condition.get("status") == "True" or condition.get("reason") == Reason.FOREIGN_USERS
    return granted and condition.get("observedGeneration", 0) >= wanted.generation


def _selected(known: FederationTrust | None, wanted: FederationTrust) -> bool:
    """True also where waiting cannot help: a refused or suspended trust selects nothing."""
    if known is None or known.uid != wanted.uid:
        return False
    ready = find(known.raw_status.get("conditions") or [], "Ready")
    waiting = (Reason.ACTIVATING, Reason.ADMISSION_UNREACHABLE, None)
    return ready.get("observedGeneration", 0) >= wanted.generation and ready.get("reason") not in waiting
