"""Running pods follow their bindings: annotations are updated, the kubelet carries them into the pods."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable, Sequence

from apostille.controller.state import State
from apostille.core.pod_plan import PodPlan, pod_plan
from apostille.core.pods import PodFacts, follow
from apostille.core.resolve import ResolvedBinding
from apostille.kube.client import PODS, ApiError, Client
from apostille.model.identity import ServiceAccount
from apostille.telemetry.logging import about

log = logging.getLogger(__name__)

PARALLEL = 16


class Followers:
    """Only annotations under Apostille's prefixes are ever written, on pods that carry a plan."""

    def __init__(self, client: Client, state: State) -> None:
        self._client, self._state = client, state
        self._limit = asyncio.Semaphore(PARALLEL)
        self._told: dict[ServiceAccount, Hashable] = {}

    def behind(self) -> list[ServiceAccount]:
        """Service accounts with injected pods whose bindings are not what those pods were last told."""
        carrying = self._state.pods.carrying()
        now = {account: _version(self._live(account)) for account in carrying}
        # Whoever is new here was told what held when its pod came, which may have changed since.
        changed = [account for account in carrying if self._told.get(account) != now[account]]
        self._told = now
        return changed

    async def reconcile(self, account: ServiceAccount) -> None:
        """The pods of one service account, in parallel. Raises the first ApiError, after all were tried."""
        plans = [pod_plan(one.trust.trust, one.binding) for one in self._live(account) if one.trust is not None]
        changes = _changes(list(self._state.pods.carriers(account)), plans)
        results = await asyncio.gather(*(self._patch(*change) for change in changes), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _live(self, account: ServiceAccount) -> Sequence[ResolvedBinding]:
        return self._state.view().of_account.get(account, ())

    async def _patch(self, pod: PodFacts, annotations: dict[str, str | None]) -> None:
        async with self._limit:
            try:
                written = await self._client.merge(
                    PODS.path(pod.name, namespace=pod.namespace), {"metadata": {"annotations": annotations}}
                )
                uid = written["metadata"].get("uid", "")
                log.info("pod follows", extra={**about(PODS.kind, pod.name, pod.namespace, uid)})
            except ApiError as error:
                if error.code != 404:
                    raise


def _version(live: Sequence[ResolvedBinding]) -> Hashable:
    return tuple(
        (one.binding.name, one.binding.uid, one.binding.generation, one.trust.trust.uid, one.trust.trust.generation)
        for one in live
        if one.trust is not None
    )


def _changes(pods: Sequence[PodFacts], plans: Sequence[PodPlan]) -> list[tuple[PodFacts, dict[str, str | None]]]:
    # The pods of one Deployment carry the same: each text is worked out once.
    known: dict[tuple[str, tuple[tuple[str, str], ...]], dict[str, str | None]] = {}
    changes = []
    for pod in pods:
        key = (pod.plan, tuple(sorted(pod.files.items())))
        if key not in known:
            known[key] = follow(pod, plans)
        if known[key]:
            changes.append((pod, known[key]))
    return changes
