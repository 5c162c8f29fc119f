"""What is declared, as the admission server knows it: local copies, with a live read where a copy may be behind."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypeVar

from apostille.core.desired import grants_of
from apostille.core.grants import Protection
from apostille.core.guard import Guard
from apostille.core.judge import Context, judge_trust
from apostille.core.phase import trust_phase
from apostille.core.resolve import ResolvedBinding, ResolvedTrust, resolve_binding
from apostille.core.tightening import Tightening, tightening
from apostille.core.unreadable import Binding, Obstacle, Trust, obstacles
from apostille.kinds import decode
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.kube.client import BINDINGS, NAMESPACES, SERVICE_ACCOUNTS, TRUSTS, ApiError, Client
from apostille.kube.issuer import IssuerUnknown, discover
from apostille.kube.reflector import Key, Reflector
from apostille.model.finding import Finding
from apostille.model.identity import Issuer, ServiceAccount
from apostille.model.names import RULES_ANNOTATION
from apostille.rules.addresses import AddressPolicy
from apostille.rules.modes import Modes

log = logging.getLogger(__name__)
T = TypeVar("T")
At = TypeVar("At")

ISSUER_SECONDS, RETRY_SECONDS = 300.0, 2.0
# How long after its admission a binding may be unknown to the local copies.
SETTLE_SECONDS = 5.0


class Declared:
    """Trusts, bindings and the issuer. A pod costs as much as it has bindings, not as much as there are."""

    def __init__(
        self,
        client: Client,
        own_namespace: str,
        service_account: str,
        addresses: AddressPolicy | None = None,
        modes: Modes | None = None,
    ) -> None:
        self._client, self.own_namespace, self._service_account = client, own_namespace, service_account
        self._addresses, self._modes = addresses or AddressPolicy(), modes or Modes()
        self._tightened: dict[str, Modes] = {}
        self.namespaces: Reflector[Tightening] = Reflector(
            client, NAMESPACES.path(), tightening, self._namespace_changed
        )
        self.trusts: Reflector[Trust] = Reflector(client, TRUSTS.path(), decode.trust_or_not, self._trust_changed)
        self.bindings: Reflector[Binding] = Reflector(
            client, BINDINGS.path(), decode.binding_or_not, self._binding_changed
        )
        self.issuer: Issuer | None = None
        self._of_account: dict[ServiceAccount, dict[Key, Binding]] = {}
        self._of_audience: dict[str, dict[Key, FederationTrust]] = {}
        self._findings: dict[str, tuple[tuple[FederationTrust, ...], Context, tuple[Finding, ...]]] = {}
        self._unsettled: dict[str, float] = {}

    async def run(self) -> None:
        """Keeps the copies until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.trusts.run())
            group.create_task(self.bindings.run())
            group.create_task(self.namespaces.run())
            group.create_task(self._follow_issuer())

    @property
    def ready(self) -> bool:
        """Whether answers can be trusted: the copies are complete and the issuer is known."""
        copies = (self.trusts, self.bindings, self.namespaces)
        return all(copy.synced.is_set() for copy in copies) and self.issuer is not None

    @property
    def silence(self) -> float:
        """Seconds since the API server was last heard, by the copy that heard it least."""
        return max(self.trusts.silence, self.bindings.silence, self.namespaces.silence)

    @property
    def context(self) -> Context:
        """For the rules."""
        return Context(self.issuer, self.own_namespace, self._addresses, self._modes, self._tightened)

    def admitted(self, namespace: str) -> None:
        """A binding of this namespace was just admitted: until the copies know it, its pods are judged by reads."""
        now = time.monotonic()
        self._unsettled = {known: at for known, at in self._unsettled.items() if now - at < SETTLE_SECONDS}
        self._unsettled[namespace] = now

    async def bound_to(self, account: ServiceAccount) -> list[ResolvedBinding]:
        """Bindings in force for a service account, in order of their names. Raises ApiError.

        From the local copies where they speak of any; else, and where they may be behind, from the API server: a pod
        may come in the same breath as its binding.
        """
        settled = time.monotonic() - self._unsettled.get(account.namespace, -SETTLE_SECONDS) >= SETTLE_SECONDS
        known = [one for one in self._of_account.get(account, {}).values() if isinstance(one, WorkloadBinding)]
        if settled and (live := self._live(known, {})):
            return live
        read = await self.read_bindings(account.namespace)
        mine = [binding for binding in read if account in binding.service_accounts]
        live = self._live(mine, {})
        if len(live) == len(mine):
            return live
        # Their trusts may have come, or come to allow this, a moment ago as well.
        named = {binding.spec.trust_ref.name for binding in mine}
        fresh = [trust for name in sorted(named) if (trust := await self.read_trust(name)) is not None]
        return self._live(mine, {trust.name: trust for trust in fresh})

    def obstacles(self, account: ServiceAccount) -> list[Obstacle]:
        """What cannot be read of the identities of a service account, by the local copies: nobody applies such now."""
        bindings = sorted(self._of_account.get(account, {}).values(), key=lambda binding: binding.name)
        named = {binding.trust_name for binding in bindings}
        trusts = {name: trust for name in named if (trust := self.trusts.get("", name)) is not None}
        return obstacles(account, bindings, trusts, datetime.now(UTC))

    def known_trusts(self) -> list[FederationTrust]:
        """Those of the local copies that can be read."""
        return [trust for trust in self.trusts if isinstance(trust, FederationTrust)]

    def known_trust(self, name: str) -> FederationTrust | None:
        """One of them."""
        trust = self.trusts.get("", name)
        return trust if isinstance(trust, FederationTrust) else None

    def unreadable_trust(self, name: str) -> decode.Unreadable | None:
        """One of them, where it does not fit its schema."""
        trust = self.trusts.get("", name)
        return trust if isinstance(trust, decode.Unreadable) else None

    def known_binding(self, namespace: str, name: str) -> WorkloadBinding | None:
        """One of the local copies, where it can be read."""
        binding = self.bindings.get(namespace, name)
        return binding if isinstance(binding, WorkloadBinding) else None

    def misunderstood(self, namespace: str) -> list[str]:
        """Warnings on what a namespace says about the rules and nobody understands."""
        said = self.namespaces.get("", namespace)
        return [
            f"metadata.annotations[{RULES_ANNOTATION}] of namespace {namespace}: {wrong}"
            for wrong in (said.wrong if said is not None else ())
        ]

    def guard(self, bound: Iterable[ResolvedBinding]) -> Guard:
        """What policies say, to their users, to the service account of these live bindings: not what Audit records."""
        protections: dict[str, Protection] = {}
        for trust in self.known_trusts():
            if trust.spec.enforcement.mode == "Audit":
                continue
            users = [] if trust.spec.enforcement.force else trust.raw_status.get("foreignUsers") or []
            spared = {str(user["namespace"]) for user in users}
            if (known := protections.get(trust.audience)) is not None:
                spared |= set(known.spared)
            protections[trust.audience] = Protection(trust.audience, trust.spec.enforcement.mode, tuple(sorted(spared)))
        grants = [grant for resolved in bound for grant in grants_of(resolved)]
        return Guard.of(protections.values(), grants, self.own_namespace)

    async def missing(self, accounts: Iterable[ServiceAccount]) -> list[ServiceAccount]:
        """Those that do not exist, read from the API server. Raises ApiError."""
        found = []
        for account in accounts:
            try:
                await self._client.get(SERVICE_ACCOUNTS.path(account.name, namespace=account.namespace))
            except ApiError as error:
                if error.code != 404:
                    raise
                found.append(account)
        return found

    async def read_bindings(self, namespace: str) -> list[WorkloadBinding]:
        """All bindings of a namespace, read from the API server. Raises ApiError."""
        raw, _ = await self._client.list_all(BINDINGS.path(namespace=namespace))
        read = [decode.binding_or_not(item) for item in raw]
        return [binding for binding in read if isinstance(binding, WorkloadBinding)]

    async def read_trusts(self) -> list[FederationTrust]:
        """All trusts, read from the API server. Raises ApiError."""
        raw, _ = await self._client.list_all(TRUSTS.path())
        read = [decode.trust_or_not(item) for item in raw]
        return [trust for trust in read if isinstance(trust, FederationTrust)]

    async def read_trust(self, name: str) -> FederationTrust | None:
        """One trust, read from the API server; None where there is none. Raises ApiError on other answers."""
        try:
            trust = decode.trust_or_not(await self._client.get(TRUSTS.path(name)))
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        return trust if isinstance(trust, FederationTrust) else None

    def _live(self, bindings: Iterable[WorkloadBinding], fresh: dict[str, FederationTrust]) -> list[ResolvedBinding]:
        """``fresh`` are trusts that are newer than the local copy."""
        now = datetime.now(UTC)
        live = []
        for binding in sorted(bindings, key=lambda binding: binding.name):
            name = binding.spec.trust_ref.name
            trust = fresh.get(name) or self.known_trust(name)
            if trust is None:
                continue
            judged = ResolvedTrust(trust, self._judge(trust), trust_phase(trust, now))
            resolved = resolve_binding(binding, judged, self.context, now)
            if resolved.live:
                live.append(resolved)
        return live

    def _judge(self, trust: FederationTrust) -> tuple[Finding, ...]:
        """Findings on a trust; of others only those with its audience matter to it. Remembered until one changes."""
        judged = (trust, *self._of_audience.get(trust.audience, {}).values())
        known = self._findings.get(trust.name)
        if known is not None and known[1] == self.context and _same(known[0], judged):
            return known[2]
        findings = tuple(judge_trust(trust, judged, self.context))
        self._findings[trust.name] = judged, self.context, findings
        return findings

    def _trust_changed(self, key: Key, before: Trust | None, after: Trust | None) -> None:
        was, now = (one if isinstance(one, FederationTrust) else None for one in (before, after))
        _move(
            self._of_audience, key, now,
            [was.audience] if was is not None else [], [now.audience] if now is not None else [],
        )  # fmt: skip
        if now is None:
            self._findings.pop(key[1], None)

    def _binding_changed(self, key: Key, before: Binding | None, after: Binding | None) -> None:
        _move(
            self._of_account, key, after,
            before.service_accounts if before is not None else [], after.service_accounts if after is not None else [],
        )  # fmt: skip

    def _namespace_changed(self, key: Key, before: Tightening | None, after: Tightening | None) -> None:
        # Replaced, not changed: contexts are compared.
        self._tightened = {name: modes for name, modes in self._tightened.items() if name != key[1]}
        if after is not None:
            self._tightened[key[1]] = after.modes

    async def _follow_issuer(self) -> None:
        while True:
            try:
                self.issuer = await discover(self._client, self.own_namespace, self._service_account)
                await asyncio.sleep(ISSUER_SECONDS)
            except IssuerUnknown as error:
                log.warning("issuer unknown", extra={"reason": str(error)})
                await asyncio.sleep(RETRY_SECONDS)


def _move(index: dict[At, dict[Key, T]], key: Key, value: T | None, before: Iterable[At], after: Iterable[At]) -> None:
    for at in before:
        held = index.get(at, {})
        held.pop(key, None)
        if not held:
            index.pop(at, None)
    if value is not None:
        for at in after:
            index.setdefault(at, {})[key] = value


def _same(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether these are the very same objects: copies are replaced, never changed."""
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))
