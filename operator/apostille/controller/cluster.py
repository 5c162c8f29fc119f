"""Reconciles the cluster objects: policies with the grants, and the selection of the webhooks.

Order matters. What stops minting goes first (policies), running pods are told at once, the selection comes last. An
addition to the failing-closed tier waits until the API server was seen to reach the admission endpoint; nothing is
ever removed for its absence. Nothing here waits until it is in force: the prober sees that, and changes go on.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any, TypeVar

from apostille.controller.generated import Generated
from apostille.controller.prober import Prober
from apostille.controller.state import State
from apostille.core import grants, selection, workloads
from apostille.core.desired import Desired
from apostille.core.room import fitting
from apostille.core.settings import ClusterSettings
from apostille.core.tombstones import config_map_data
from apostille.kube.client import CLUSTER_ROLES, ApiError, Client
from apostille.model import names
from apostille.model.identity import ServiceAccount

log = logging.getLogger(__name__)
C = TypeVar("C")

MANAGER = "apostille/cluster"
RESYNC_SECONDS, UNREACHABLE_RETRY = 60.0, 2.0
MUTATING, VALIDATING = "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"
CONFIG_MAP = "ConfigMap"
POLICY, POLICY_BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"

Document = Mapping[str, Any]


class AnchorGone(Exception):
    """The installation is being removed: nothing may be written any more."""


@dataclass(frozen=True, slots=True)
class Documents:
    """What the API server is to be told, in the order of telling."""

    kinds: Document
    policies: Sequence[Document]
    configurations: Sequence[Document]
    early: Sequence[Document]


class ClusterReconciler:
    """Brings policies and webhook configurations to what the declarations ask.

    ``tell`` is called between the two, when what has ended cannot mint any more and running pods are to hear of it.
    ``bundle`` is the caBundle of every webhook; without one only policies are written, and what is there stays.
    """

    def __init__(
        self,
        client: Client,
        generated: Generated,
        prober: Prober,
        state: State,
        settings: ClusterSettings,
        tell: Callable[[], None],
        bundle: Callable[[], str],
    ) -> None:
        self._client, self._generated, self._prober, self._state = client, generated, prober, state
        self._settings, self._tell, self._bundle = settings, tell, bundle
        self._no_room = ""
        self._documents: tuple[Desired, frozenset[ServiceAccount], Mapping[str, Any], str, Documents] | None = None

    async def reconcile(self) -> float | None:
        """Returns seconds until the next look. Raises ApiError, AnchorGone."""
        owner, bundle = await self.anchor(), self._bundle()
        written = self._generated.get(CONFIG_MAP, names.AUDIENCES) or {}
        self._state.settle(written.get("data") or {})
        want, no_room = fitting(self._state.desired(), self._present(), self._settings.shards)
        if no_room and no_room != self._no_room:
            log.error("no room", extra={"reason": no_room})
        self._no_room = no_room
        bound = await self._may_bind(want.bound)
        documents = self._made(want, bound, owner, bundle)
        write, remove_others = self._generated.write, self._generated.remove_others
        if bundle:
            await write(documents.kinds, MANAGER)
        if written or self._state.records:
            # Ahead of the first policy that says so.
            await write(self._record(owner), MANAGER)
        for document in self._in_order(documents.policies, grants.span, _overlap):
            await write(document, MANAGER)
        for kind in (POLICY_BINDING, POLICY):
            await remove_others(kind, {_name(document) for document in documents.policies if document["kind"] == kind})
        self._tell()
        if not bundle:
            raise ApiError(
                0, "", "webhooks are not written: there is no certificate of the admission server to trust yet"
            )
        for document in self._in_order(documents.configurations, _pairs, _shared):
            await write(document, MANAGER)
        await remove_others(MUTATING, {_name(document) for document in documents.configurations})
        # Nothing rests on these.
        for document in documents.early:
            await write(document, MANAGER)
        await self._remove_early({_name(document) for document in (documents.kinds, *documents.early)})
        self._prober.expect(documents.policies, want, documents.configurations, documents.kinds, no_room)
        due = RESYNC_SECONDS if bound == want.bound else UNREACHABLE_RETRY
        change = self._state.view().next_change
        return due if change is None else min(due, max(0.0, change.timestamp() - time.time()) + 0.05)

    async def _remove_early(self, keep: Collection[str]) -> None:
        """What a later version made may be beyond our rights: a rollback does not end here. Raises ApiError."""
        try:
            await self._generated.remove_others(VALIDATING, keep)
        except ApiError as error:
            if error.code != 403:
                raise
            log.warning("early warnings of another version stay", extra={"reason": str(error)})

    def _record(self, owner: Mapping[str, Any]) -> Document:
        """Which audiences are enforced; it outlives their trusts."""
        metadata = selection.metadata(names.AUDIENCES, replace(self._settings, owner=owner))
        return {
            "apiVersion": "v1",
            "kind": CONFIG_MAP,
            "metadata": {**metadata, "namespace": self._settings.own_namespace},
            "data": config_map_data(self._state.records.values()),
        }

    def _present(self) -> Desired:
        """What is in the cluster, whoever wrote it."""
        policies = [self._generated.get(POLICY, name) for name in self._generated.names(POLICY)]
        selections = [self._generated.get(MUTATING, name) for name in self._generated.names(MUTATING)]
        pairs = [selection.selected(raw) for raw in selections if raw is not None]
        return Desired(
            bound=frozenset().union(*(bound for bound, _ in pairs)),
            allowed=frozenset().union(*(allowed for _, allowed in pairs)),
            grants=frozenset(grant for raw in policies if raw is not None for grant in grants.granted(raw)),
        )

    async def _may_bind(self, wanted: frozenset[ServiceAccount]) -> frozenset[ServiceAccount]:
        """What is bound in the cluster, whoever wrote it, stays bound while the endpoint is not seen."""
        present = (self._generated.get(MUTATING, name) for name in self._generated.names(MUTATING))
        already = frozenset().union(*(selection.selected(raw)[0] for raw in present if raw is not None))
        return wanted if wanted <= already or await self._prober.reachable() else wanted & already

    def _made(
        self, want: Desired, bound: frozenset[ServiceAccount], owner: Mapping[str, Any], bundle: str
    ) -> Documents:
        if self._documents is not None:
            *made_of, documents = self._documents
            if made_of == [want, bound, owner, bundle]:
                return documents
        settings = replace(self._settings, owner=owner, ca_bundle=bundle)
        documents = Documents(
            kinds=selection.kinds_webhooks(settings),
            policies=grants.policies(want.protections, want.grants, settings, want.grants_again),
            configurations=selection.selection(bound, want.allowed, settings, want.selected_again),
            early=[
                *workloads.audience_webhooks([p.audience for p in want.protections], want.observed, settings),
                *workloads.workload_webhooks(bound, settings),
            ],
        )
        self._documents = (want, bound, owner, bundle, documents)
        return documents

    async def anchor(self) -> Mapping[str, Any]:
        """The ownerReference of everything that is generated. Raises ApiError, AnchorGone."""
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

    def _in_order(
        self, documents: Sequence[Document], content: Callable[[Document], C], shared: Callable[[C, C], bool]
    ) -> list[Document]:
        """An order of writing in which nothing that moves from one shard to another is ever in neither."""
        after = {_id(document): (document, content(document)) for document in documents}
        order: TopologicalSorter[tuple[str, str]] = TopologicalSorter(dict.fromkeys(after, ()))
        for losing, (_, left) in after.items():
            raw = self._generated.get(*losing)
            if raw is None:
                continue
            before = content(raw)
            if before == left:
                continue
            for gaining, (_, now) in after.items():
                if gaining != losing and _family(gaining) == _family(losing) and shared(before, now):
                    order.add(losing, gaining)
        try:
            return [after[identity][0] for identity in order.static_order()]
        except CycleError:  # shards are ranges of one order, so that nothing can move both ways
            return list(documents)


def _name(document: Document) -> str:
    return str(document["metadata"]["name"])


def _id(document: Document) -> tuple[str, str]:
    return str(document["kind"]), _name(document)


def _family(identity: tuple[str, str]) -> tuple[str, str]:
    kind, name = identity
    return kind, name.rpartition("-")[0]


def _pairs(configuration: Document) -> frozenset[ServiceAccount]:
    return frozenset().union(*selection.selected(configuration))


def _shared(one: frozenset[ServiceAccount], other: frozenset[ServiceAccount]) -> bool:
    return not one.isdisjoint(other)


def _overlap(one: tuple[str, str], other: tuple[str, str]) -> bool:
    return (not other[1] or one[0] < other[1]) and (not one[1] or other[0] < one[1])
