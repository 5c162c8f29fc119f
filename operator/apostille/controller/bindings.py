"""Reconciles one WorkloadBinding: counts its pods and reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from apostille.controller.state import Key, State
from apostille.controller.writer import StatusWriter
from apostille.core.pod_plan import pod_plan
from apostille.core.pods import PodFacts
from apostille.core.pods import state as pod_state
from apostille.core.resolve import ResolvedBinding
from apostille.core.status import binding_status, invalid_status, to_repair
from apostille.kinds.status import PodCounts, RepairStatus
from apostille.kube.client import BINDINGS
from apostille.model.names import BINDING_PLURAL

Repair = Callable[[Key, bool], RepairStatus | None]


class BindingReconciler:
    """One binding at a time."""

    def __init__(self, state: State, writer: StatusWriter, repair: Repair = lambda key, due: None) -> None:
        """``repair`` is told of every binding whether its pods are to be made anew, and says how far that is."""
        self._state, self._writer, self._repair = state, writer, repair

    def to_repair(self, key: Key) -> ResolvedBinding | None:
        """The binding, where its pods are to be made anew."""
        known, resolved = self._state.bindings.get(key), self._state.view().bindings.get(key)
        if known is None or resolved is None:
            return None
        return resolved if to_repair(resolved, self._count(resolved), self._state.in_force_for(known)) else None

    async def reconcile(self, namespace: str, name: str) -> None:
        """Raises ApiError."""
        path = BINDINGS.path(name, namespace=namespace, subresource="status")
        known = self._state.bindings.get((namespace, name))
        resolved = self._state.view().bindings.get((namespace, name))
        if (unreadable := self._state.unreadable.get((BINDING_PLURAL, namespace, name))) is not None:
            await self._writer.write(path, unreadable, invalid_status(unreadable, datetime.now(UTC)))
            return
        if known is None or resolved is None:
            self._writer.forget(path)
            self._repair((namespace, name), False)
            return
        counts, in_force = self._count(resolved), self._state.in_force_for(known)
        repair = self._repair((namespace, name), to_repair(resolved, counts, in_force))
        await self._writer.write(path, known, binding_status(resolved, counts, in_force, datetime.now(UTC), repair))

    def _count(self, resolved: ResolvedBinding) -> PodCounts:
        of = self._state.pods.of
        pods = [pod for account in resolved.binding.service_accounts for pod in of(account) if not pod.windows]
        if not resolved.live or resolved.trust is None:
            return PodCounts(matched=len(pods))
        plan = pod_plan(resolved.trust.trust, resolved.binding)
        # The pods of one Deployment carry the same plan: each text is read once.
        alike: dict[str, tuple[PodFacts, int]] = {}
        for pod in pods:
            alike[pod.plan] = (pod, alike.get(pod.plan, (pod, 0))[1] + 1)
        states: Counter[str] = Counter()
        for pod, number in alike.values():
            states[pod_state(pod, plan)] += number
        return PodCounts(len(pods), states["injected"], states["stale"], states["missing"])
