"""What existing pods have, against what is planned: counts, followers, foreign users."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from apostille.core.pod_plan import PodPlan
from apostille.model import names
from apostille.model.identity import ServiceAccount
from apostille_exchange.recipe import Plan, Recipe, RecipeError, dumps, loads

Pod = Mapping[str, Any]
State = Literal["injected", "stale", "missing"]


@dataclass(frozen=True, slots=True)
class PodFacts:
    """The little that is kept of a pod. ``audiences`` are those its volumes project tokens for.

    A ``windows`` pod is left alone: it counts for no binding.
    ``drivers`` are those of its inline CSI volumes, ``claims`` its persistent volume claims: a driver may have tokens
    requested as well (CSIDriver.spec.tokenRequests).
    """

    namespace: str
    name: str
    account: ServiceAccount
    audiences: tuple[str, ...]
    plan: str
    files: Mapping[str, str]
    windows: bool = False
    drivers: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()


def facts(pod: Pod) -> PodFacts | None:
    """None for a pod that is over or going: it counts for nothing."""
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    if metadata.get("deletionTimestamp") or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return None
    annotations = metadata.get("annotations") or {}
    return PodFacts(
        namespace=metadata["namespace"],
        name=metadata["name"],
        account=ServiceAccount(metadata["namespace"], spec.get("serviceAccountName") or "default"),
        audiences=projected_audiences(spec),
        plan=annotations.get(names.PLAN_ANNOTATION, ""),
        files={key: text for key, text in annotations.items() if key.startswith(names.FILES_PREFIX)},
        windows=(spec.get("os") or {}).get("name") == "windows",
        drivers=_named(spec, "csi", "driver"),
        claims=_named(spec, "persistentVolumeClaim", "claimName"),
    )


def _named(spec: Mapping[str, Any], source: str, key: str) -> tuple[str, ...]:
    return tuple(sorted({str(v[source].get(key)) for v in spec.get("volumes") or () if v.get(source)}))


def projected_audiences(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Audiences of a pod's projected tokens; without one it is the API server's, which is nobody's business here."""
    found = [
        source["serviceAccountToken"].get("audience", "")
        for volume in spec.get("volumes") or ()
        for source in (volume.get("projected") or {}).get("sources") or ()
        if source.get("serviceAccountToken")
    ]
    return tuple(sorted({audience for audience in found if audience}))


def state(pod: PodFacts, plan: PodPlan) -> State:
    """Of one binding in one pod that it matches. Only what is frozen in the pod's spec can be stale."""
    digest = parsed_plan(pod.plan).digests.get(plan.binding)
    if digest is None:
        return "missing"
    return "injected" if digest == plan.frozen.digest else "stale"


def parsed_plan(text: str) -> Plan:
    """The plan a pod carries; an unreadable one counts as none, since the webhook never wrote it."""
    try:
        return loads(text) if text else Plan({}, {})
    except RecipeError:
        return Plan({}, {})


def follow(pod: PodFacts, plans: Sequence[PodPlan]) -> dict[str, str | None]:
    """Annotations to change on a running pod so that it follows its bindings; None removes one. Empty: nothing to do.

    Digests stay: they speak of the pod's spec. A binding that is no longer live ends; one that is live again resumes.
    """
    carried = parsed_plan(pod.plan)
    if not carried.digests:
        return {}
    live = {plan.binding: plan for plan in plans}
    recipes: dict[str, Recipe] = {}
    for binding in carried.recipes:
        plan = live.get(binding)
        recipe = plan.live.recipe if plan is not None else None
        recipes[binding] = recipe if recipe is not None else Recipe(binding, ended=True)
    changes: dict[str, str | None] = {}
    if (text := dumps(Plan(carried.digests, recipes))) != pod.plan:
        changes[names.PLAN_ANNOTATION] = text
    for plan in plans:
        for name, content in plan.live.files.items():
            key = names.file_annotation(plan.binding, name)
            if key in pod.files and pod.files[key] != content:
                changes[key] = content
    return changes


def ended(pod: PodFacts, binding: str) -> dict[str, str | None]:
    """Annotations to change on a running pod so that one binding ends in it; empty: it has no recipe of it."""
    carried = parsed_plan(pod.plan)
    if binding not in carried.recipes:
        return {}
    recipes = {**carried.recipes, binding: Recipe(binding, ended=True)}
    text = dumps(Plan(carried.digests, recipes))
    return {names.PLAN_ANNOTATION: text} if text != pod.plan else {}


def foreign_users(
    pods: Iterable[PodFacts],
    audience: str,
    granted: Iterable[ServiceAccount],
    ignored_namespaces: Iterable[str],
    mounting: Iterable[PodFacts] = (),
) -> dict[str, int]:
    """Pods per namespace that project a token for ``audience`` and whose service account has no grant for it.

    ``mounting`` are pods with a volume of a CSI driver that has such tokens requested. A pod of an ended binding is not
    foreign: what it carries is ours, and cutting it off is the point.
    """
    own, ignored = set(granted), set(ignored_namespaces)
    counts: dict[str, int] = {}
    users = [pod for pod in pods if audience in pod.audiences and not pod.plan]
    known = {(pod.namespace, pod.name) for pod in users}
    others = {(pod.namespace, pod.name): pod for pod in mounting}
    for pod in [*users, *(pod for key, pod in others.items() if key not in known)]:
        if pod.account in own or pod.namespace in ignored:
            continue
        counts[pod.namespace] = counts.get(pod.namespace, 0) + 1
    return dict(sorted(counts.items()))
