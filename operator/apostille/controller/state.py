"""What the controller knows: the two kinds, pods, the issuer, what is in force; and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from apostille.core.desired import Desired, InForce, desired
from apostille.core.judge import Context
from apostille.core.pods import PodFacts, foreign_users
from apostille.core.resolve import World, resolve
from apostille.kinds import decode
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.kube.reflector import Reflector
from apostille.model.identity import Issuer, ServiceAccount
from apostille.model.names import SYSTEM_NAMESPACES, TRUST_PLURAL
from apostille.rules.addresses import AddressPolicy

Key = tuple[str, str]


class State:
    """Changed by events only, read by reconcilers. The world is worked out anew when something changed or time has."""

    def __init__(self, own_namespace: str, pods: Reflector[PodFacts], addresses: AddressPolicy | None = None) -> None:
        self.own_namespace, self.pods = own_namespace, pods
        self._addresses = addresses or AddressPolicy()
        self.trusts: dict[str, FederationTrust] = {}
        self.bindings: dict[Key, WorkloadBinding] = {}
        self.invalid: dict[tuple[str, str, str], tuple[dict[str, Any], str]] = {}
        self.issuer: Issuer | None = None
        self.issuer_error = ""
        self.in_force = InForce()
        self.generation = 0
        self._world: tuple[int, World] | None = None

    @property
    def context(self) -> Context:
        """For the rules."""
        return Context(self.issuer, self.own_namespace, self._addresses)

    def put(self, plural: str, raw: dict[str, Any]) -> None:
        """Takes over an object; one that does not fit the schema is kept aside and reported."""
        metadata = raw["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        self.drop(plural, namespace, name)
        try:
            if plural == TRUST_PLURAL:
                self.trusts[name] = decode.federation_trust(raw)
            else:
                self.bindings[namespace, name] = decode.workload_binding(raw)
        except decode.InvalidObject as error:
            self.invalid[plural, namespace, name] = (raw, str(error))

    def drop(self, plural: str, namespace: str, name: str) -> None:
        """Forgets an object."""
        self.generation += 1
        self.invalid.pop((plural, namespace, name), None)
        if plural == TRUST_PLURAL:
            self.trusts.pop(name, None)
        else:
            self.bindings.pop((namespace, name), None)

    def world(self) -> World:
        """Everything declared, judged now."""
        now = datetime.now(UTC)
        if self._world is not None:
            generation, world = self._world
            if generation == self.generation and (world.next_change is None or now < world.next_change):
                return world
        world = resolve(self.trusts.values(), self.bindings.values(), self.context, now)
        self._world = (self.generation, world)
        return world

    def set_issuer(self, issuer: Issuer | None, error: str) -> bool:
        """Whether anything changed."""
        if (issuer, error) == (self.issuer, self.issuer_error):
            return False
        self.issuer, self.issuer_error = issuer, error
        self.generation += 1
        return True

    def foreign(self, trust: str) -> Mapping[str, int]:
        """Undeclared users of a trust's audience, pods by namespace."""
        known = self.trusts.get(trust)
        if known is None:
            return {}
        granted = {
            account
            for resolved in self.world().live
            if resolved.trust is not None and resolved.trust.trust.audience == known.audience
            for account in resolved.binding.service_accounts
        }
        return foreign_users(self.pods, known.audience, granted, (*SYSTEM_NAMESPACES, self.own_namespace))

    def desired(self) -> Desired:
        """The cluster objects that follow."""
        return desired(self.world(), {name: self.foreign(name) for name in self.trusts})

    def pods_of(self, account: ServiceAccount) -> list[PodFacts]:
        """Pods that run as a service account."""
        return [pod for pod in self.pods if pod.account == account]
