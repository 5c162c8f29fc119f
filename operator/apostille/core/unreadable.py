"""Declarations that cannot be read: where a trust enforces, its pods are refused instead of starting without identity.

An older version may have stored them, or somebody without the schema. Their bindings count as absent for what is
granted, which refuses nobody who asks for no token: an injected pod would come without its identity, unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from apostille.core.judge import allowed_pairs
from apostille.core.phase import trust_phase, within
from apostille.kinds.decode import Unreadable
from apostille.kinds.federation_trust import FederationTrust, Mode
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.identity import ServiceAccount

Trust = FederationTrust | Unreadable
Binding = WorkloadBinding | Unreadable


@dataclass(frozen=True, slots=True)
class Obstacle:
    """An object that cannot be read, by which a service account would have an identity. ``mode`` is its trust's."""

    of: Unreadable
    mode: Mode

    @property
    def refusal(self) -> str:
        """What the pod's owner is told."""
        return (
            f"{self.of.said}, so the pod would start without the identity that is declared for it; apply the object "
            "again with that field corrected, or set its spec.suspended"
        )


def obstacles(
    account: ServiceAccount, bindings: Iterable[Binding], trusts: Mapping[str, Trust], now: datetime
) -> list[Obstacle]:
    """Of a service account that these bindings name, in their order."""
    found = (_obstacle(account, binding, trusts.get(binding.trust_name), now) for binding in bindings)
    return [obstacle for obstacle in found if obstacle is not None]


def _obstacle(account: ServiceAccount, binding: Binding, trust: Trust | None, now: datetime) -> Obstacle | None:
    if trust is None:  # nobody has an identity without a trust
        return None
    if isinstance(binding, Unreadable):
        if binding.suspended:
            return None
    elif binding.spec.suspended or not within(binding.spec.validity, now):
        return None
    if isinstance(trust, Unreadable):
        mode, _ = trust.enforcement
        return None if trust.suspended else Obstacle(trust, mode)
    if isinstance(binding, Unreadable) and account in allowed_pairs(trust) and trust_phase(trust, now).live:
        return Obstacle(binding, trust.spec.enforcement.mode)
    return None
