"""Pods that lack what their binding gives are made anew: where a binding asks for it, one at a time, by eviction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from apostille.controller.state import Key, State
from apostille.core import repair
from apostille.core.pod_plan import pod_plan
from apostille.core.resolve import ResolvedBinding
from apostille.kinds.status import RepairStatus
from apostille.kube.client import PODS, ApiError, Client
from apostille.kube.recorder import Recorder
from apostille.model.names import API_VERSION, BINDING_KIND
from apostille.telemetry import metrics
from apostille.telemetry.logging import about

log = logging.getLogger(__name__)

# Seconds between two looks at one binding's pods, and between two evictions in the cluster.
PAUSE, APART = 5.0, 2.0
# Seconds until one is asked again that was not let go: others have their turn.
BLOCKED = 30.0
# Owners that are remembered; beyond this the oldest are forgotten.
MOST_OWNERS = 10_000

Wanted = Callable[[Key], ResolvedBinding | None]


class Repairs:
    """``wanted`` says which bindings are to be repaired; ``told`` is called when there is something new to report."""

    def __init__(
        self, client: Client, state: State, recorder: Recorder, wanted: Wanted, told: Callable[[Key], None]
    ) -> None:
        self._client, self._recorder, self._wanted, self._told = client, recorder, wanted, told
        self._own_namespace = state.own_namespace
        self._tried: Mapping[str, repair.Tried] = {}
        self._reports: dict[Key, RepairStatus] = {}
        self._blocked: dict[str, tuple[float, str]] = {}
        self._next = 0.0

    def report(self, key: Key) -> RepairStatus | None:
        """How far a binding's repair is; None where nothing is to be repaired."""
        return self._reports.get(key)

    def forget(self, key: Key) -> None:
        """There is nothing more to repair, or the binding is gone."""
        self._reports.pop(key, None)

    async def reconcile(self, namespace: str, name: str) -> float | None:
        """One look, one eviction at most. Returns seconds until the next look. Raises ApiError."""
        key = (namespace, name)
        resolved = self._wanted(key)
        if resolved is None or resolved.trust is None:
            self._say(key, None)
            return None
        if (early := self._next - asyncio.get_running_loop().time()) > 0:
            return early
        plan = pod_plan(resolved.trust.trust, resolved.binding)
        pods: list[dict[str, Any]] = []
        for account in resolved.binding.service_accounts:
            found, _ = await self._client.list_all(
                PODS.path(namespace=namespace), fieldSelector=f"spec.serviceAccountName={account.name}"
            )
            pods += found
        now = self._client.now()
        moment = asyncio.get_running_loop().time()
        self._blocked = {uid: one for uid, one in self._blocked.items() if one[0] > moment}
        why = {uid: problem for uid, (_, problem) in self._blocked.items()}
        choice = repair.choose(pods, plan, self._tried, self._own_namespace, now, why)
        problem = ""
        if choice.evict is not None:
            self._next = moment + APART
            problem = await self._evict(choice.evict, resolved)
            if problem:
                self._blocked[repair.owner(choice.evict)[0]] = (moment + BLOCKED, problem)
            else:
                tried = repair.noted(choice.evict, pods, plan, self._tried, now)
                self._tried = dict(list(tried.items())[-MOST_OWNERS:])
        self._say(key, _report(choice, problem))
        return PAUSE if choice.waiting else None

    async def _evict(self, pod: Mapping[str, Any], resolved: ResolvedBinding) -> str:
        """What stands against it; empty when it goes."""
        binding, name = resolved.binding, pod["metadata"]["name"]
        reference = {
            "apiVersion": API_VERSION, "kind": BINDING_KIND, "name": binding.name, "namespace": binding.namespace,
            "uid": binding.uid,
        }  # fmt: skip
        path = PODS.path(name, namespace=binding.namespace, subresource="eviction")
        try:
            await self._client.create(path, repair.eviction(pod))
        except ApiError as error:
            if error.code in (404, 409):
                return ""  # gone, or another one of its name
            if error.code == 429:
                result, problem = "blocked", f"pod {name} may not go now: {error.message}"
            elif error.code in (400, 403, 422):  # no right, a policy, a webhook
                result = "forbidden"
                hint = "the chart's value controller.repair allows it"
                problem = f"pod {name} may not be evicted ({hint}): {error.message}"
            else:
                raise
            metrics.EVICTIONS.labels(result).inc()
            await self._recorder.record(reference, "Warning", f"Repair{result.capitalize()}", problem)
            return problem
        _, of = repair.owner(pod)
        metrics.EVICTIONS.labels("evicted").inc()
        uid = pod["metadata"]["uid"]
        why = f"it lacks the current plan of WorkloadBinding {binding.name}"
        log.info("pod evicted", extra={**about(PODS.kind, name, binding.namespace, uid), "reason": why})
        said = f"pod {name} lacks the current plan of WorkloadBinding {binding.name}: evicted, {of} makes another"
        await self._recorder.record(reference, "Normal", "PodRecreated", said)
        own = {"apiVersion": "v1", "kind": "Pod", "name": name, "namespace": binding.namespace}
        await self._recorder.record({**own, "uid": uid}, "Normal", "PodRecreated", said)
        return ""

    def _say(self, key: Key, report: RepairStatus | None) -> None:
        if report == self._reports.get(key):
            return
        if report is None:
            self._reports.pop(key, None)
        else:
            self._reports[key] = report
        self._told(key)


def _report(choice: repair.Choice, problem: str) -> RepairStatus:
    said = [text for text in (problem or choice.why,) if text]
    said += [f"{number} left alone: {reason}" for reason, number in sorted(choice.left.items())]
    return RepairStatus(choice.waiting, sum(choice.left.values()), "; ".join(said)[:1024])
