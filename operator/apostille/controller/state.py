"""What the controller knows: the two kinds, pods, the issuer, what is in force; and what follows from it."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from apostille.controller.again import Again
from apostille.controller.csi import CSI
from apostille.controller.observed import Observed
from apostille.controller.pod_index import PodIndex
from apostille.core.desired import Desired, InForce, desired
from apostille.core.grants import Grant, Protection
from apostille.core.judge import Context
from apostille.core.pods import foreign_users
from apostille.core.resolve import ResolvedBinding, World, resolve
from apostille.core.tightening import Tightening
from apostille.core.tombstones import Enforced, Record, settled, tombstones
from apostille.core.tombstones import read as tombstone_records
from apostille.core.unreadable import Binding, Trust, obstacles
from apostille.kinds import decode
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.identity import Issuer, ServiceAccount
from apostille.model.names import BINDING_KIND, SYSTEM_NAMESPACES, TRUST_KIND, TRUST_PLURAL
from apostille.rules import checks
from apostille.rules.addresses import AddressPolicy
from apostille.rules.modes import Modes
from apostille.telemetry.logging import about

log = logging.getLogger(__name__)

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class View:
    """The world at one moment, and what is asked of it again and again.

    ``of_account`` and ``granted`` speak of live bindings, ``naming`` of all.
    """

    world: World
    bindings: Mapping[Key, ResolvedBinding]
    of_trust: Mapping[str, Sequence[ResolvedBinding]]
    of_account: Mapping[ServiceAccount, Sequence[ResolvedBinding]]
    naming: Mapping[ServiceAccount, Sequence[Key]]
    granted: Mapping[str, frozenset[ServiceAccount]]
    next_change: datetime | None


class State:
    """Changed by events only, read by reconcilers. The view is worked out anew when something changed or time has."""

    def __init__(self, own_namespace: str, addresses: AddressPolicy | None = None, modes: Modes | None = None) -> None:
        self.own_namespace = own_namespace
        self._addresses, self._modes = addresses or AddressPolicy(), modes or Modes()
        self._tightened: dict[str, Modes] = {}
        self.pods = PodIndex()
        self.csi = CSI()
        self.observed = Observed()
        self.records: Mapping[str, Record] = {}
        """Enforced audiences, those of trusts that are gone included."""
        self.trusts: dict[str, FederationTrust] = {}
        self.bindings: dict[Key, WorkloadBinding] = {}
        self.unreadable: dict[tuple[str, str, str], decode.Unreadable] = {}
        self.issuer: Issuer | None = None
        self.issuer_error = ""
        self.in_force = InForce()
        self._versions: dict[tuple[str, str, str], int] = {}
        self._gone: dict[tuple[str, str, str], int] = {}
        self._listed: dict[str, int] = {}
        self._grants: dict[ServiceAccount, list[Grant]] = {}
        self._generation = 0
        self._view: tuple[int, View] | None = None
        self._settled = 0
        self._desired: tuple[View, tuple[int, ...], Desired] | None = None
        self._again = Again()

    @property
    def context(self) -> Context:
        """For the rules."""
        return Context(self.issuer, self.own_namespace, self._addresses, self._modes, self._tightened)

    def known(self, plural: str, namespace: str, name: str) -> FederationTrust | WorkloadBinding | None:
        """An object that fits the schema."""
        return self.trusts.get(name) if plural == TRUST_PLURAL else self.bindings.get((namespace, name))

    def put(self, plural: str, raw: dict[str, Any]) -> bool:
        """Takes over an object, unless a newer state of it is known; whether reconcilers have reason to look.

        One that does not fit the schema counts as absent, with the reason kept aside; one that is going as gone.
        """
        metadata = raw["metadata"]
        key = (plural, metadata.get("namespace", ""), metadata["name"])
        version = _version(metadata)
        if version <= self._versions.get(key, -1) or version <= self._gone.get(key, -1):
            return False
        if metadata.get("deletionTimestamp"):
            return self.drop(*key, version)
        self._versions[key] = version
        before = self.known(*key)
        try:
            now = decode.federation_trust(raw) if plural == TRUST_PLURAL else decode.workload_binding(raw)
        except decode.InvalidObject as error:
            known = self.unreadable.get(key)
            self._forget(key)
            self._generation += 1
            kind = TRUST_KIND if plural == TRUST_PLURAL else BINDING_KIND
            self.unreadable[key] = decode.Unreadable(kind, raw, str(error))
            return known is None or known.error != str(error)
        self.unreadable.pop(key, None)
        if isinstance(now, FederationTrust):
            self.trusts[now.name] = now
        else:
            self.bindings[now.namespace, now.name] = now
        # A status or a label is nobody's business here; our own statuses come back this way.
        if before is not None and _decisive(before) == _decisive(now):
            return False
        self._generation += 1
        return True

    def drop(self, plural: str, namespace: str, name: str, version: int) -> bool:
        """Forgets an object that was gone at ``version``, unless it has come again since; whether it was known."""
        key = (plural, namespace, name)
        if version < self._versions.get(key, -1):
            return False
        self._gone[key] = max(version, self._gone.get(key, -1))
        self._versions.pop(key, None)
        return self._forget(key)

    def absent(self, plural: str, present: Collection[Key], version: int | None) -> list[tuple[Key, int]] | None:
        """Objects, with the version they had, that a list of ``version`` does not have any more; None: of any.

        What came later than the list is not missed by it. Returns None for a list that is older than the one before: it
        must not be taken over, since what is remembered of the gone ends with a list.
        """

        def before(known: int) -> bool:
            return version is None or known <= version

        if version is not None and version < self._listed.get(plural, -1):
            return None
        self._listed[plural] = version if version is not None else self._listed.get(plural, -1)
        self._gone = {key: gone for key, gone in self._gone.items() if key[0] != plural or not before(gone)}
        return [
            ((namespace, name), known)
            for (of, namespace, name), known in self._versions.items()
            if of == plural and before(known) and (namespace, name) not in present
        ]

    def _forget(self, key: tuple[str, str, str]) -> bool:
        unreadable = self.unreadable.pop(key, None)
        if key[0] == TRUST_PLURAL:
            known = self.trusts.pop(key[2], None) is not None
        else:
            known = self.bindings.pop(key[1:], None) is not None
        self._generation += known or unreadable is not None
        return known or unreadable is not None

    def view(self) -> View:
        """Everything declared, judged now."""
        now = datetime.now(UTC)
        if self._view is not None:
            generation, view = self._view
            if generation == self._generation and (view.next_change is None or now < view.next_change):
                return view
        view = _view(resolve(self.trusts.values(), self.bindings.values(), self.context, now, self.unreadable.values()))
        self._view = (self._generation, view)
        return view

    def set_tightened(self, namespace: str, by: Tightening | None) -> None:
        """What a namespace says about the rules; None: nothing."""
        self._tightened = {name: modes for name, modes in self._tightened.items() if name != namespace}
        if by is not None:
            self._tightened[namespace] = by.modes
        self._generation += 1

    def set_issuer(self, issuer: Issuer | None, error: str) -> bool:
        """Whether anything changed."""
        if (issuer, error) == (self.issuer, self.issuer_error):
            return False
        self.issuer, self.issuer_error = issuer, error
        self._generation += 1
        return True

    def counted(self, heard: InForce) -> InForce:
        """Of what a probe has shown what counts: nothing that was taken away since."""
        return self._again.counted(heard)

    def set_in_force(self, in_force: InForce) -> None:
        """What a probe has shown."""
        if in_force.policies is not self.in_force.policies:
            self._grants = {}
            for grant in in_force.policies.grants:
                self._grants.setdefault(grant.account, []).append(grant)
        self.in_force = in_force

    def in_force_for(self, binding: WorkloadBinding) -> InForce:
        """What is in force, cut down to what concerns a binding's service accounts."""
        policies = self.in_force.policies
        mine = [grant for account in binding.service_accounts for grant in self._grants.get(account, ())]
        return replace(self.in_force, policies=replace(policies, grants=frozenset(mine)))

    def foreign(self, trust: str) -> Mapping[str, int]:
        """Undeclared users of a trust's audience, pods by namespace."""
        known = self.trusts.get(trust)
        return self._users(known.audience) if known is not None else {}

    def _users(self, audience: str) -> Mapping[str, int]:
        granted = self.view().granted.get(audience, frozenset())
        mounting = self.csi.pods(audience, self.pods)
        return foreign_users(self.pods.users(audience), audience, granted, self._ignored, mounting)

    @property
    def _ignored(self) -> tuple[str, ...]:
        return (*SYSTEM_NAMESPACES, self.own_namespace)

    def requests(self, trust: str) -> Mapping[str, int]:
        """Service accounts by namespace for which others than kubelets asked for tokens that no binding grants."""
        known = self.trusts.get(trust)
        return self._requests(known.audience) if known is not None else {}

    def _requests(self, audience: str) -> Mapping[str, int]:
        granted = self.view().granted.get(audience, frozenset())
        return self.observed.users(audience, granted, self._ignored)

    def _all_users(self, audience: str) -> tuple[str, ...]:
        """Namespaces with foreign users of any sort."""
        return tuple(sorted({*self._users(audience), *self._requests(audience)}))

    def _closed(self) -> list[Protection]:
        """What trusts that cannot be read keep closed, as far as their audience is one that can be protected."""
        closed = []
        for trust in self.unreadable.values():
            if trust.kind != TRUST_KIND or any(checks.audience(trust.audience, "spec.audience", self.issuer)):
                continue
            mode, force = trust.enforcement
            closed.append(Protection(trust.audience, mode, () if force else self._all_users(trust.audience)))
        for record in tombstones(self.records):
            # The API server may have come to accept it itself: that can never be protected.
            if not any(checks.audience(record.audience, "spec.audience", self.issuer)):
                spared = () if record.force else self._all_users(record.audience)
                closed.append(Protection(record.audience, "Enforce", spared))
        return closed

    def _barred(self) -> frozenset[ServiceAccount]:
        """Service accounts whose pods admission is to refuse, since what they are bound by cannot be read."""
        unread = self.unreadable.values()
        trusts: dict[str, Trust] = {**self.trusts, **{one.name: one for one in unread if one.kind == TRUST_KIND}}
        bindings: list[Binding] = [*self.bindings.values(), *(one for one in unread if one.kind == BINDING_KIND)]
        now = datetime.now(UTC)
        return frozenset(
            account
            for binding in (bindings if unread else [])
            for account in binding.service_accounts
            if account.namespace not in self._ignored
            and any(one.mode == "Enforce" for one in obstacles(account, [binding], trusts, now))
        )

    def settle(self, written: Mapping[str, str]) -> None:
        """Brings the records up to what is declared; ``written`` is what stands in the cluster."""
        declared: dict[str, Enforced] = {}
        for resolved in self.view().world.trusts.values():
            if not resolved.audience_is_no_receivers:
                enforcement = resolved.trust.spec.enforcement
                _say(declared, resolved.trust.audience, resolved.trust.name, enforcement.mode, enforcement.force)
        for trust in self.unreadable.values():
            if trust.kind == TRUST_KIND and trust.audience:
                _say(declared, trust.audience, trust.name, *trust.enforcement)
        records = settled(self.records, tombstone_records(written), declared, datetime.now(UTC).replace(microsecond=0))
        for record in tombstones(records):
            known = self.records.get(record.audience)
            if known is None or known.ended is None:
                log.info(
                    "audience stays protected", extra={**about(TRUST_KIND, record.trust), "audience": record.audience}
                )
        if records != self.records:
            self.records = records
            self._settled += 1

    def desired(self) -> Desired:
        """The cluster objects that follow; the same object as long as nothing changes.

        To be written once asked for: what it takes away counts as in force no more.
        """
        view = self.view()
        version = (self.pods.foreign_version, self.csi.version, self.observed.version, self._settled)
        if self._desired is not None:
            of_view, of_version, known = self._desired
            if of_view is view and of_version == version:
                return known
        foreign = {name: self._all_users(trust.audience) for name, trust in self.trusts.items()}
        wanted = desired(view.world, foreign, self._closed(), self._barred())
        before = self._desired[2] if self._desired is not None else wanted
        wanted = self._again.wanted(before, wanted, time.monotonic())
        self._desired = (view, version, wanted)
        self.set_in_force(self.counted(self.in_force))
        return wanted


def _say(declared: dict[str, Enforced], audience: str, trust: str, mode: str, force: bool) -> None:
    known = declared.get(audience)
    if mode == "Enforce":
        # Each of two trusts may spare its namespaces.
        declared[audience] = Enforced(trust, True, force and (known is None or not known.enforces or known.force))
    elif known is None:
        declared[audience] = Enforced(trust, False)


def _version(metadata: Mapping[str, Any]) -> int:
    # Opaque by its type, but a number that grows wherever the API server stores in etcd.
    return int(metadata["resourceVersion"])


def _decisive(known: FederationTrust | WorkloadBinding) -> tuple[object, ...]:
    return known.uid, known.generation, known.spec


def _view(world: World) -> View:
    of_trust: dict[str, list[ResolvedBinding]] = {}
    of_account: dict[ServiceAccount, list[ResolvedBinding]] = {}
    naming: dict[ServiceAccount, list[Key]] = {}
    granted: dict[str, set[ServiceAccount]] = {}
    for resolved in world.bindings:
        for account in resolved.binding.service_accounts:
            naming.setdefault(account, []).append((resolved.binding.namespace, resolved.binding.name))
        of_trust.setdefault(resolved.binding.spec.trust_ref.name, []).append(resolved)
        if not resolved.live or resolved.trust is None:
            continue
        for account in resolved.binding.service_accounts:
            of_account.setdefault(account, []).append(resolved)
            granted.setdefault(resolved.trust.trust.audience, set()).add(account)
    return View(
        world=world,
        bindings={(resolved.binding.namespace, resolved.binding.name): resolved for resolved in world.bindings},
        of_trust=of_trust,
        of_account=of_account,
        naming=naming,
        granted={audience: frozenset(accounts) for audience, accounts in granted.items()},
        next_change=world.next_change,
    )
