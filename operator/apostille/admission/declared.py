"""What is declared, as the admission server knows it: local copies, with a live read where a copy may be behind."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from apostille.core.judge import Context
from apostille.core.resolve import ResolvedBinding, World, resolve
from apostille.kinds import decode
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.kube.client import BINDINGS, TRUSTS, ApiError, Client
from apostille.kube.issuer import IssuerUnknown, discover
from apostille.kube.reflector import Reflector
from apostille.model.conditions import find
from apostille.model.identity import Issuer, ServiceAccount

log = logging.getLogger(__name__)
T = TypeVar("T")

ISSUER_SECONDS = 300.0
POLL_SECONDS = 0.05


def readable(reader: Callable[[dict[str, Any]], T]) -> Callable[[dict[str, Any]], T | None]:
    """Decodes, or leaves out what no longer fits the schema: the controller reports it."""

    def read(raw: dict[str, Any]) -> T | None:
        try:
            return reader(raw)
        except decode.InvalidObject:
            return None

    return read


class Declared:
    """Trusts, bindings and the issuer."""

    def __init__(self, client: Client, own_namespace: str, service_account: str) -> None:
        self._client, self.own_namespace, self._service_account = client, own_namespace, service_account
        self.trusts: Reflector[FederationTrust] = Reflector(client, TRUSTS.path(), readable(decode.federation_trust))
        self.bindings: Reflector[WorkloadBinding] = Reflector(
            client, BINDINGS.path(), readable(decode.workload_binding)
        )
        self.issuer: Issuer | None = None

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
        return Context(self.issuer, self.own_namespace)

    async def _follow_issuer(self) -> None:
        while True:
            try:
                self.issuer = await discover(self._client, self.own_namespace, self._service_account)
                await asyncio.sleep(ISSUER_SECONDS)
            except IssuerUnknown as error:
                log.warning("issuer unknown", extra={"reason": str(error)})
                await asyncio.sleep(2)

    def bound_to(self, account: ServiceAccount) -> list[ResolvedBinding]:
        """Bindings in force for a service account, from the local copies."""
        mine = [binding for binding in self.bindings if account in binding.service_accounts]
        return self._live(list(self.trusts), mine)

    async def read_bound_to(self, account: ServiceAccount) -> list[ResolvedBinding]:
        """The same, read from the API server: a pod may come in the same breath as its binding. Raises ApiError."""
        raw, _ = await self._client.list_all(BINDINGS.path(namespace=account.namespace))
        read = [binding for item in raw if (binding := readable(decode.workload_binding)(item)) is not None]
        mine = [binding for binding in read if account in binding.service_accounts]
        trusts = {trust.name: trust for trust in self.trusts}
        if any(binding.spec.trust_ref.name not in trusts for binding in mine):
            raw, _ = await self._client.list_all(TRUSTS.path())
            fresh = [trust for item in raw if (trust := readable(decode.federation_trust)(item)) is not None]
            trusts = {trust.name: trust for trust in fresh}
        return self._live(list(trusts.values()), mine)

    async def read_trust(self, name: str) -> FederationTrust | None:
        """One trust, read from the API server; None where there is none. Raises ApiError on other answers."""
        try:
            return readable(decode.federation_trust)(await self._client.get(TRUSTS.path(name)))
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def _live(self, trusts: list[FederationTrust], bindings: list[WorkloadBinding]) -> list[ResolvedBinding]:
        world: World = resolve(trusts, bindings, self.context, datetime.now(UTC))
        return world.live

    async def wait_for_grant(self, resolved: ResolvedBinding, deadline: float) -> bool:
        """Whether the controller has reported the binding's grant to be in force, by ``deadline`` (monotonic seconds)."""
        binding = resolved.binding
        return await _until(lambda: _enforced(self.bindings.get(binding.namespace, binding.name), binding), deadline)

    async def wait_for_trust(self, name: str, deadline: float) -> bool:
        """Whether the API server already asks about the pods that this trust allows."""
        return await _until(lambda: _selected(self.trusts.get("", name)), deadline)


async def _until(condition: Callable[[], bool], deadline: float) -> bool:
    while not condition():
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True


def _enforced(known: WorkloadBinding | None, wanted: WorkloadBinding) -> bool:
    if known is None or known.uid != wanted.uid:
        return False
    condition = find(known.raw_status.get("conditions") or [], "Enforced")
    return condition.get("status") == "True" and condition.get("observedGeneration", 0) >= wanted.generation


def _selected(trust: FederationTrust | None) -> bool:
    """True also where waiting cannot help: a refused or suspended trust selects nothing."""
    if trust is None:
        return False
    ready = find(trust.raw_status.get("conditions") or [], "Ready")
    return ready.get("observedGeneration", 0) >= trust.generation and ready.get("reason") not in ("Activating", None)
