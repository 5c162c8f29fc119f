"""The cluster objects that follow from the declarations: selection, protections, grants."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from apostille.core.grants import Grant, Protection
from apostille.core.judge import allowed_pairs
from apostille.core.pod_plan import PodPlan, pod_plan
from apostille.core.resolve import ResolvedBinding, World
from apostille.core.selection import Selected
from apostille.model.identity import ServiceAccount


@dataclass(frozen=True, slots=True)
class Desired:
    """What the API server is to be told. Comparable, so that an unchanged world writes nothing."""

    bound: frozenset[ServiceAccount] = frozenset()
    allowed: frozenset[ServiceAccount] = frozenset()
    protections: tuple[Protection, ...] = ()
    grants: frozenset[Grant] = frozenset()
    observed: frozenset[str] = frozenset()
    """Audiences whose token requests are watched, before they are enforced."""
    grants_again: frozenset[tuple[Grant, int]] = frozenset()
    selected_again: frozenset[tuple[Selected, int]] = frozenset()
    """Of these what was taken away a moment ago, and how often, so that it is told from what was there before."""


@dataclass(frozen=True, slots=True)
class InForce:
    """What a probe has shown to be in force, and whether the admission endpoint was reached by it.

    Additions to ``bound`` wait for the endpoint; nothing is ever removed for its absence.
    """

    selection: Desired = field(default_factory=Desired)
    policies: Desired = field(default_factory=Desired)
    reachable: bool = False
    no_room: str = ""
    """Why what is declared does not all fit, if it does not."""


def desired(
    world: World,
    foreign: Mapping[str, Collection[str]],
    closed: Collection[Protection] = (),
    barred: Collection[ServiceAccount] = (),
) -> Desired:
    """``foreign`` maps a trust's name to the namespaces of its foreign users.

    ``closed`` are the protections of trusts that cannot be read or are gone: what they closed stays closed.
    ``barred`` are service accounts that are asked about although none of their bindings is in force.
    """
    grants: dict[tuple[ServiceAccount, str], int] = {}
    for resolved in world.live:
        for grant in grants_of(resolved):
            key = (grant.account, grant.audience)
            grants[key] = max(grants.get(key, 0), grant.seconds)
    protections = {protection.audience: protection for protection in closed}
    order = {"Audit": 0, "Warn": 1, "Enforce": 2}
    # A refused trust grants nothing, but what it closed stays closed.
    for trust in [resolved.trust for resolved in world.trusts.values() if not resolved.audience_is_no_receivers]:
        spared = () if trust.spec.enforcement.force else tuple(sorted(foreign.get(trust.name, ())))
        known = protections.get(trust.audience)
        mode = trust.spec.enforcement.mode
        if known is not None:
            # Of trusts that share an audience the strictest holds, and each may spare its namespaces.
            mode = max(mode, known.mode, key=order.__getitem__)
            spared = tuple(sorted({*spared, *known.spared}))
        protections[trust.audience] = Protection(trust.audience, mode, spared)
    return Desired(
        bound=frozenset(account for resolved in world.live for account in resolved.binding.service_accounts)
        | {*barred},
        allowed=frozenset(
            pair for resolved in world.trusts.values() if resolved.accepted for pair in allowed_pairs(resolved.trust)
        ),
        protections=tuple(protections[audience] for audience in sorted(protections)),
        grants=frozenset(Grant(account, audience, seconds) for (account, audience), seconds in grants.items()),
        observed=frozenset(
            resolved.trust.audience
            for resolved in world.trusts.values()
            if resolved.trust.spec.enforcement.observe_token_requests and not resolved.audience_is_no_receivers
        ),
    )


def grants_of(resolved: ResolvedBinding) -> list[Grant]:
    """What one binding needs to be granted."""
    if resolved.trust is None:
        return []
    trust = resolved.trust.trust
    return [
        Grant(account, trust.audience, trust.spec.ceilings.assertion_seconds)
        for account in resolved.binding.service_accounts
    ]


def plans_for(world: World, account: ServiceAccount) -> list[PodPlan]:
    """Plans of the live bindings of one service account, by name of binding."""
    return [
        pod_plan(resolved.trust.trust, resolved.binding)
        for resolved in world.live
        if resolved.trust is not None and account in resolved.binding.service_accounts
    ]
