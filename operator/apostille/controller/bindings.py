"""Reconciles one WorkloadBinding: counts its pods and reports."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

from apostille.controller.state import State
from apostille.controller.writer import StatusWriter
from apostille.core.pod_plan import pod_plan
from apostille.core.pods import state as pod_state
from apostille.core.resolve import ResolvedBinding
from apostille.core.status import binding_status
from apostille.kinds.status import PodCounts
from apostille.kube.client import BINDINGS


class BindingReconciler:
    """One binding at a time."""

    def __init__(self, state: State, writer: StatusWriter) -> None:
        self._state, self._writer = state, writer

    async def reconcile(self, namespace: str, name: str) -> float | None:
        """Raises ApiError."""
        found = [
            resolved
            for resolved in self._state.world().bindings
            if (resolved.binding.namespace, resolved.binding.name) == (namespace, name)
        ]
        if not found:
            return None
        (resolved,) = found
        status = binding_status(resolved, self._count(resolved), self._state.in_force, datetime.now(UTC))
        await self._writer.write(
            BINDINGS.path(name, namespace=namespace, subresource="status"), resolved.binding, status
        )
        change = resolved.phase.next_change if resolved.phase is not None else None
        return None if change is None else max(0.0, change.timestamp() - datetime.now(UTC).timestamp()) + 0.05

    def _count(self, resolved: ResolvedBinding) -> PodCounts:
        pods = [pod for account in resolved.binding.service_accounts for pod in self._state.pods_of(account)]
        if not resolved.live or resolved.trust is None:
            return PodCounts(matched=len(pods))
        plan = pod_plan(resolved.trust.trust, resolved.binding)
        states = Counter(pod_state(pod, plan) for pod in pods)
        return PodCounts(len(pods), states["injected"], states["stale"], states["missing"])
