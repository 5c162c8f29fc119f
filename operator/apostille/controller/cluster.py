"""Reconciles the cluster objects: policies with the grants, and the selection of the webhooks.

Order matters. What stops minting goes first (policies), running pods are told at once, the selection comes last. An
addition to the failing-closed tier waits until the API server was seen to reach the admission endpoint; nothing is
ever removed for its absence. What is in force is *seen* by a probe, not assumed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from apostille.controller.state import State
from apostille.core import grants, selection
from apostille.core.desired import Desired
from apostille.core.settings import ClusterSettings
from apostille.kube.client import (
    BY_KIND,
    CLUSTER_ROLES,
    CONFIG_MAPS,
    MUTATING,
    POLICIES,
    POLICY_BINDINGS,
    ApiError,
    Client,
)
from apostille.model import names
from apostille.model.identity import ServiceAccount
from apostille.telemetry import metrics

log = logging.getLogger(__name__)

MANAGER = "apostille/cluster"
PROBE_SECONDS, PROBE_PAUSE = 8.0, 0.1
RESYNC_SECONDS = 60.0
UNREACHABLE_RETRY = 2.0
_GENERATED = "app.kubernetes.io/managed-by=apostille"


class AnchorGone(Exception):  # noqa: N818
    """The installation is being removed: nothing may be written any more."""


class ClusterReconciler:
    """Brings policies and webhook configurations to what the declarations ask."""

    def __init__(
        self, client: Client, state: State, settings: ClusterSettings, followers: Callable[[], Awaitable[None]]
    ) -> None:
        self._client, self._state, self._settings, self._followers = client, state, settings, followers
        self._written: dict[tuple[str, str], str] = {}
        self._written_at = 0.0
        self._bound: frozenset[ServiceAccount] | None = None

    async def reconcile(self) -> float | None:
        """Returns seconds until the next look. Raises ApiError, AnchorGone."""
        settings = replace(self._settings, owner=await self._anchor())
        if self._bound is None:
            self._bound = await self._bound_before()
        if time.monotonic() - self._written_at > RESYNC_SECONDS:
            self._written.clear()  # hand edits are undone by writing everything again
            self._written_at = time.monotonic()
        want = self._state.desired()
        policies = grants.policies(want.protections, want.grants, settings)
        await self._write(policies)
        await self._followers()
        bound = self._may_bind(want.bound)
        configurations = selection.selection(bound, want.allowed, settings)
        await self._write([*configurations, selection.kinds_webhooks(settings)])
        await self._remove_others([*policies, *configurations])
        self._bound = bound
        reachable = await self._see(policies, configurations, want, bound)
        if reachable and want.bound - bound:
            return 0.0  # the gate has just opened
        due = RESYNC_SECONDS if reachable or not configurations else UNREACHABLE_RETRY
        change = self._state.world().next_change
        return due if change is None else min(due, max(0.0, change.timestamp() - time.time()) + 0.05)

    def _may_bind(self, wanted: frozenset[ServiceAccount]) -> frozenset[ServiceAccount]:
        already = self._bound or frozenset()
        return wanted if self._state.in_force.reachable else wanted & already

    async def _anchor(self) -> Mapping[str, Any]:
        try:
            anchor = await self._client.get(CLUSTER_ROLES.path(names.ANCHOR))
        except ApiError as error:
            if error.code == 404:
                raise AnchorGone(
                    f"ClusterRole {names.ANCHOR} is missing: Apostille is not (or no longer) installed"
                ) from None
            raise
        metadata = anchor["metadata"]
        if metadata.get("deletionTimestamp"):
            raise AnchorGone(f"ClusterRole {names.ANCHOR} is being deleted: Apostille is being removed")
        return {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "name": names.ANCHOR,
            "uid": metadata["uid"],
        }

    async def _bound_before(self) -> frozenset[ServiceAccount]:
        """What an earlier process had bound stays bound while the endpoint is not seen."""
        found, _ = await self._client.list_all(MUTATING.path(), labelSelector=_GENERATED)
        return frozenset(
            pair
            for configuration in found
            for webhook in configuration.get("webhooks") or ()
            if webhook.get("failurePolicy") == "Fail"
            for condition in webhook.get("matchConditions") or ()
            for pair in selection.parse_pairs(condition["expression"])
        )

    async def _write(self, documents: Sequence[Mapping[str, Any]]) -> None:
        for document in documents:
            key = (str(document["kind"]), str(document["metadata"]["name"]))
            digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
            if self._written.get(key) != digest:
                await self._client.apply(BY_KIND[key[0]].path(key[1]), document, manager=MANAGER)
                self._written[key] = digest

    async def _remove_others(self, wanted: Sequence[Mapping[str, Any]]) -> None:
        keep = {(document["kind"], document["metadata"]["name"]) for document in wanted}
        for kind, resource in (
            ("MutatingWebhookConfiguration", MUTATING),
            ("ValidatingAdmissionPolicyBinding", POLICY_BINDINGS),
            ("ValidatingAdmissionPolicy", POLICIES),
        ):
            known = [name for of_kind, name in self._written if of_kind == kind and (of_kind, name) not in keep]
            if not known and self._state.in_force.reachable:
                continue
            found, _ = await self._client.list_all(resource.path(), labelSelector=_GENERATED)
            for item in found:
                name = item["metadata"]["name"]
                if (kind, name) not in keep:
                    await self._client.delete(resource.path(name))
                    self._written.pop((kind, name), None)

    async def _see(
        self,
        policies: Sequence[Mapping[str, Any]],
        configurations: Sequence[Mapping[str, Any]],
        want: Desired,
        bound: frozenset[ServiceAccount],
    ) -> bool:
        """Probes until everything that was written is in force, and records what is; whether the endpoint was reached."""
        granted, selected = grants.expected_warning(policies), selection.expected_warnings(configurations)
        deadline = time.monotonic() + PROBE_SECONDS
        now_selected = Desired(bound=bound, allowed=want.allowed)
        if self._state.in_force.policies == want and self._state.in_force.selection == now_selected:
            deadline = time.monotonic()
        while True:
            heard = await self._probe()
            reachable = bool(selected) and selected <= heard
            before = self._state.in_force
            after = replace(
                before,
                policies=want if granted in heard else before.policies,
                selection=now_selected if selected <= heard else before.selection,
                reachable=reachable if selected else before.reachable,
            )
            if after != before:
                self._state.in_force = after
                self._state.generation += 1
            metrics.REACHABLE.set(int(after.reachable))
            if (granted in heard and selected <= heard) or time.monotonic() >= deadline:
                return after.reachable
            await asyncio.sleep(PROBE_PAUSE)

    async def _probe(self) -> set[str]:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": names.PROBE}}
        _, warnings = await self._client.create(
            CONFIG_MAPS.path(namespace=self._settings.own_namespace), body, dry_run=True
        )
        return {
            found for warning in warnings if (found := warning[warning.find("apostille:") :]).startswith("apostille:")
        }
