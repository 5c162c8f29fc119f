"""A binding in a pod: what the pod has of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from apostille.core.explain.answer import Answer, Observed, Pod, State
from apostille.core.explain.declared import Judged
from apostille.core.explain.exchange import standing, token_refused, trouble
from apostille.core.explain.pods import annotation, containers, not_injectable, restart, volumes
from apostille.core.inject import inject
from apostille.core.pods import parsed_plan
from apostille.core.settings import InjectionSettings
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model import names


def in_pod(judged: Judged, all_of_pod: Sequence[Judged], observed: Observed) -> Answer:
    """``all_of_pod`` are all bindings of the pod's service account: they may get into each other's way."""
    has = added(observed.pod, judged)
    if judged.state is not None:
        notes = ["the pod still carries what it was given before"] if has else []
        return Answer(judged.name, judged.state, judged.message, judged.change, judged.identity, has, notes)
    if (why := not_injectable(observed.pod)) is not None:
        return Answer(judged.name, State.NOT_INJECTABLE, why, "", judged.identity)
    digest = parsed_plan(annotation(observed.pod)).digests.get(judged.name)
    plans = [one.plan for one in all_of_pod if one.state is None and one.plan is not None]
    trial = inject(observed.pod, plans, InjectionSettings())
    if digest is None:
        return _missing(judged, observed, trial.denial)
    stale = digest != judged.plan.frozen.digest if judged.plan is not None else _stale_by_counts(judged, observed)
    if stale:
        return Answer(
            judged.name, State.STALE,
            "the pod was given an older version of the binding or of its trust" + _differences(judged, observed.pod),
            restart(observed), judged.identity, has,
        )  # fmt: skip
    return _delivered(judged, observed, has, trial.warnings, stale is None)


def _missing(judged: Judged, observed: Observed, denial: str) -> Answer:
    if denial:
        # A new pod would fare no better.
        return Answer(
            judged.name, State.CONFLICT, f"the pod has nothing, and a new one would be refused: {denial}",
            f"{denial.partition(': ')[0]} of {observed.workload or 'the pod'}: as the message says", judged.identity,
        )  # fmt: skip
    metadata = observed.pod.get("metadata") or {}
    pod_since, binding_since = str(metadata.get("creationTimestamp", "")), observed.created.get(judged.name, "")
    # Both are RFC 3339 in UTC with seconds, so that their order is that of their text.
    if pod_since and binding_since and pod_since <= binding_since:
        return Answer(
            judged.name, State.OLDER,
            f"the pod ({pod_since}) is older than the binding ({binding_since}), and what runs is not changed",
            restart(observed), judged.identity,
        )  # fmt: skip
    return Answer(
        judged.name, State.NOT_INJECTED,
        "the pod is younger than the binding but was created when the binding was not in force yet, or when Apostille "
        "was not asked",
        restart(observed), judged.identity,
    )  # fmt: skip


def _delivered(
    judged: Judged,
    observed: Observed,
    has: Mapping[str, Sequence[str]],
    warnings: Sequence[str],
    unsure: bool,
) -> Answer:
    def answer(state: State, message: str, change: str = "", notes: Sequence[str] = ()) -> Answer:
        said = standing(judged, observed)
        return Answer(judged.name, state, message, change, judged.identity, has, notes, said)

    if (refused := token_refused(judged, observed)) is not None:
        return answer(
            State.NO_TOKEN, f"the kubelet gets no token for it: {refused}",
            f"kubectl get wbind {judged.name} -n {observed.namespace} -o wide",
        )  # fmt: skip
    if (failing := trouble(judged, observed)) is not None:
        return answer(*failing)
    own = [warning for warning in warnings if _speaks_of(warning, judged)]
    if own:
        return answer(State.CONFLICT, own[0], _change_of(own[0], judged, observed), own[1:])
    notes = []
    if unsure:
        notes.append(
            "some pods of this service account are stale, and whether this one is cannot be told without its "
            f"FederationTrust; to be sure: {restart(observed)}"
        )
    if judged.identity.delivery in ("SDK", "TokenOnly"):
        who = "the SDK in the container" if judged.identity.delivery == "SDK" else "the application"
        notes.append(f"{who} exchanges the token itself: whether that works shows in its own log")
    excluded = judged.plan.frozen.exclude if judged.plan is not None else ()
    if left_out := [name for name in _left_out(observed.pod, has) if name not in excluded]:
        shown = ", ".join(left_out)
        return answer(
            State.SKIPPED,
            f"works, but container{'s'[: len(left_out) != 1]} {shown} got nothing: the binding includes others only",
            f"spec.delivery.containers.include of WorkloadBinding {judged.name}: add {shown}, if it needs the identity",
            notes,
        )
    return answer(State.DELIVERED, "works: the pod has what is declared", "", notes)


def _stale_by_counts(judged: Judged, observed: Observed) -> bool | None:
    """From the numbers in the binding's status; None where they leave it open."""
    binding = next(b for b in observed.bindings if isinstance(b, WorkloadBinding) and b.name == judged.name)
    pods = binding.raw_status.get("pods") or {}
    if not pods.get("stale"):
        return False
    return True if not pods.get("injected") else None


def _differences(judged: Judged, pod: Pod) -> str:
    if judged.plan is None:
        return ""
    frozen = judged.plan.frozen
    volume: Mapping[str, Any] = next((v for v in volumes(pod) if v.get("name") == names.token_volume(judged.name)), {})
    found = []
    for source in (volume.get("projected") or {}).get("sources") or ():
        token = source.get("serviceAccountToken") or {}
        if token.get("audience") != frozen.audience:
            found.append(f"audience {token.get('audience')}, now {frozen.audience}")
        if token.get("expirationSeconds") != frozen.token_seconds:
            found.append(f"tokens of {token.get('expirationSeconds')} s, now {frozen.token_seconds} s")
    has = {v.get("name"): v.get("value") for c in containers(pod) for v in c.get("env") or ()}
    found += [
        f"{key}={has[key]}, now {value}" for key, value in frozen.environment.items() if has.get(key, value) != value
    ]
    return f" ({'; '.join(found)})" if found else ""


def _speaks_of(warning: str, judged: Judged) -> bool:
    if f"WorkloadBinding {judged.name}" in warning:
        return True
    keys = judged.plan.static_credentials if judged.plan is not None else ()
    return any(f" sets {key}, a static credential" in warning for key in keys)


def _change_of(warning: str, judged: Judged, observed: Observed) -> str:
    where, _, _ = warning.partition(": ")
    if where.startswith("WorkloadBinding"):
        return f"spec.delivery.containers.include of WorkloadBinding {judged.name}: names of containers that are there"
    return f"{where} of {observed.workload or 'the pod'}: remove it"


def _left_out(pod: Pod, has: Mapping[str, Sequence[str]]) -> list[str]:
    settings = InjectionSettings()
    return [
        str(container.get("name"))
        for container in (pod.get("spec") or {}).get("containers") or ()
        if container.get("name") not in has and container.get("name") not in settings.mesh_proxies
    ]


def added(pod: Pod, judged: Judged) -> dict[str, list[str]]:
    """What of the binding is in the pod, by container; with the empty name what belongs to the pod."""
    volume = names.token_volume(judged.name)
    if volume not in {v.get("name") for v in volumes(pod)}:
        return {}
    found: dict[str, list[str]] = {"": [f"volume {volume}"]}
    environment = judged.plan.frozen.environment if judged.plan is not None else {}
    folders = (
        names.token_directory(judged.name),
        names.credentials_directory(judged.name),
        names.files_directory(judged.name),
    )
    mounted = {volume}
    if judged.plan is None and _by_sidecar(pod, volume):
        # What a container sees of it without an environment that names its folder, such as an endpoint.
        mounted |= {names.CREDENTIALS_VOLUME, names.credentials_volume(judged.name)}
    for container in containers(pod):
        name = str(container.get("name"))
        mine = [
            f"mount {mount['mountPath']}"
            for mount in container.get("volumeMounts") or ()
            if mount.get("name") in mounted
        ]
        if name in names.OUR_CONTAINERS:
            if mine:
                found[""].append(f"container {name}")
            continue
        mine += [
            f"{variable['name']}={variable.get('value', '')}"
            for variable in container.get("env") or ()
            if (variable.get("name") in environment and variable.get("value") == environment[variable["name"]])
            or str(variable.get("value", "")).startswith(folders)
        ]
        if mine:
            found[name] = mine
    return found


def _by_sidecar(pod: Pod, volume: str) -> bool:
    return any(
        container.get("name") in names.OUR_CONTAINERS
        and any(mount.get("name") == volume for mount in container.get("volumeMounts") or ())
        for container in containers(pod)
    )
