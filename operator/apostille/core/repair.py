"""Which pod is made anew next, so that a workload has what its binding gives: one at a time, or none. Pure.

A pod is evicted, as when a node is drained; what owns it makes another, which is injected.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from apostille.core.pod_plan import PodPlan
from apostille.core.pods import facts, state
from apostille.model import names

Pod = Mapping[str, Any]

# (API group, kind) of controllers that make another pod for one that is evicted, and lose nothing by it. Not Job: an
# eviction counts as a failure of it. Nobody knows what others would make of it.
OWNERS = frozenset(
    {("apps", "ReplicaSet"), ("apps", "StatefulSet"), ("apps", "DaemonSet"), ("", "ReplicationController")}
)
# How long an owner's pods may be fewer than before an eviction: it may have been scaled down meanwhile.
PATIENCE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Tried:
    """The last eviction of an owner's pod: when (by the API server's clock), and out of how many pods.

    ``plans`` are the digests, by binding, of the plans for which that was ever done.
    """

    at: datetime
    pods: int
    plans: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choice:
    """``evict`` goes now, if any; ``waiting`` pods are still to go, it included, and ``why`` says what they wait for.

    ``left`` are pods that are never evicted, by reason.
    """

    evict: Pod | None
    waiting: int
    why: str
    left: Mapping[str, int]


def owner(pod: Pod) -> tuple[str, str]:
    """(UID, ``KIND NAME``) of the controller that a pod belongs to; empty where it makes no other."""
    if "kubernetes.io/config.mirror" in ((pod.get("metadata") or {}).get("annotations") or {}):
        return "", ""
    for reference in (pod.get("metadata") or {}).get("ownerReferences") or ():
        group, slash, _ = str(reference.get("apiVersion", "")).partition("/")
        kind = str(reference.get("kind"))
        if reference.get("controller") is True and ((group if slash else ""), kind) in OWNERS:
            return str(reference.get("uid")), f"{kind} {reference.get('name')}"
    return "", ""


def choose(
    pods: Iterable[Pod],
    plan: PodPlan,
    tried: Mapping[str, Tried],
    own_namespace: str,
    now: datetime,
    blocked: Mapping[str, str] = MappingProxyType({}),
) -> Choice:
    """``pods`` are all of the binding's service accounts; ``tried`` is what was done, by the UID of the owner.

    ``blocked`` are owners whose pods were not let go a moment ago, and why.

    An owner loses no pod while one of its pods is going, missing or not ready with the current plan: what does not
    come up is not rolled through. Nor does one whose next pod came without the identity again.
    """
    of: dict[str, list[Pod]] = {}
    left: dict[str, int] = {}
    for pod in pods:
        uid, _ = owner(pod)
        if uid and not _protected(pod, own_namespace):
            of.setdefault(uid, []).append(pod)
        elif _wanting(pod, plan):
            left["nobody makes another of them"] = left.get("nobody makes another of them", 0) + 1
    candidates: list[Pod] = []
    waiting, why = 0, ""
    for uid, own in sorted(of.items()):
        wanting = [pod for pod in own if _wanting(pod, plan)]
        last = tried.get(uid)
        if last is not None and last.plans.get(plan.binding) == plan.frozen.digest:
            again = [pod for pod in wanting if _created(pod) >= last.at.replace(microsecond=0)]
            if again:
                # Its own template or another webhook keeps it so: no number of evictions changes that.
                key = "what was made in place of one of them lacks it too"
                left[key] = left.get(key, 0) + len(wanting)
                continue
        if not wanting:
            continue
        waiting += len(wanting)
        if (unsettled := blocked.get(uid) or _unsettled(own, wanting, last, now)) is not None:
            why = why or f"{owner(wanting[0])[1]}: {unsettled}"
            continue
        candidates.append(min(wanting, key=lambda pod: (_ready(pod), _created(pod), _name(pod))))
    chosen = min(candidates, key=lambda pod: (_ready(pod), _created(pod), _name(pod)), default=None)
    return Choice(chosen, waiting, "" if chosen is not None else why, left)


def noted(pod: Pod, pods: Iterable[Pod], plan: PodPlan, tried: Mapping[str, Tried], now: datetime) -> dict[str, Tried]:
    """``tried`` after a pod has been evicted."""
    uid, _ = owner(pod)
    before = tried.get(uid)
    known = dict(before.plans) if before is not None else {}
    number = sum(1 for one in pods if owner(one)[0] == uid and facts(one) is not None)
    return {**tried, uid: Tried(now, number, known | {plan.binding: plan.frozen.digest})}


def eviction(pod: Pod) -> dict[str, Any]:
    """Of this very pod, and not of one of the same name that came after it (policy/v1)."""
    metadata = pod["metadata"]
    return {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": metadata["name"], "namespace": metadata["namespace"]},
        "deleteOptions": {"preconditions": {"uid": metadata["uid"]}},
    }


def _wanting(pod: Pod, plan: PodPlan) -> bool:
    known = facts(pod)
    return known is not None and not known.windows and state(known, plan) != "injected"


def _unsettled(own: Sequence[Pod], wanting: Sequence[Pod], last: Tried | None, now: datetime) -> str | None:
    if any((pod.get("metadata") or {}).get("deletionTimestamp") for pod in own):
        return "a pod is going"
    current = [pod for pod in own if facts(pod) is not None]
    if last is not None and len(current) < last.pods and now - last.at < PATIENCE:
        return "the next pod is not there yet"
    if not all(_ready(pod) for pod in current if pod not in wanting):
        return "a pod is not ready yet"
    return None


def _protected(pod: Pod, own_namespace: str) -> bool:
    return (pod.get("metadata") or {}).get("namespace") in (*names.SYSTEM_NAMESPACES, own_namespace)


def _ready(pod: Pod) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def _created(pod: Pod) -> datetime:
    return datetime.fromisoformat(str(pod["metadata"]["creationTimestamp"]))


def _name(pod: Pod) -> str:
    return str(pod["metadata"]["name"])
