"""From a pod and its plans to a patch.

The webhook sends the patch; the controller runs the same function over existing pods to know stale and missing ones.
Everything under Apostille's names is Apostille's: a pod that arrives with such names (copied, forged) is brought to
the current plan, and refused where foreign content would stay under them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apostille.core import pod_parts as parts
from apostille.core.patch import Operation, merge_list, merge_map
from apostille.core.pod_plan import PodPlan
from apostille.core.settings import InjectionSettings
from apostille.model import names

Pod = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Injection:
    """``operations`` is a JSON Patch, empty when nothing is to do; ``denials`` say why the pod is refused, if it is."""

    operations: tuple[Operation, ...] = ()
    warnings: tuple[str, ...] = ()
    denials: tuple[str, ...] = ()

    @property
    def denial(self) -> str:
        """All of them in one text; empty where the pod is let through."""
        return "; ".join(self.denials)


@dataclass(slots=True)
class _Work:
    """The pod as it came, and what is collected while walking it.

    ``outdated``: it carries a plan that is not this one (a copied pod), so what it has under our names is an older
    plan's, its environment too. A pod with this very plan was injected a moment ago; what differs in it is its author's
    or another webhook's.
    """

    pod: Pod
    plans: Sequence[PodPlan]
    settings: InjectionSettings
    outdated: bool
    operations: list[Operation] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    denials: list[str] = field(default_factory=list)


def inject(pod: Pod, plans: Sequence[PodPlan], settings: InjectionSettings) -> Injection:
    """The patch that gives ``pod`` exactly what ``plans`` say, and nothing else under our names. Idempotent."""
    metadata, spec = pod.get("metadata") or {}, pod.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    if "kubernetes.io/config.mirror" in annotations:
        return Injection()  # the kubelet's mirror of a static pod: it cannot hold tokens, and refusing it breaks nodes
    told: list[str] = []
    if plans and (spec.get("os") or {}).get("name") == "windows":
        plans = ()
        told.append("Apostille does not inject Windows pods; this pod runs without its identity")
    carried = annotations.get(names.PLAN_ANNOTATION)
    outdated = carried is not None and not parts.carries(carried, plans)
    work = _Work(pod, sorted(plans, key=lambda plan: plan.binding), settings, outdated, warnings=told)
    if outdated:
        told.append(
            f"metadata.annotations[{names.PLAN_ANNOTATION}]: not the plan of this pod's bindings, as in a copied pod; "
            "everything of Apostille's in it was brought to the current plan"
        )
    _metadata(work, metadata)
    _volumes(work, spec)
    _sections(work)
    _endpoints(work, spec)
    _exchange(work, spec)
    for section in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(section) or ()):
            if container.get("name") not in names.OUR_CONTAINERS:
                _container(work, section, index, container)
            elif section == "containers":
                work.denials.append(
                    f"spec.containers[{index}].name: {container['name']} is reserved to Apostille; rename the container"
                )
    _missing_containers(work, spec)
    if work.denials:
        return Injection(denials=tuple(work.denials), warnings=tuple(work.warnings))
    return Injection(tuple(_containers_last(work.operations)), tuple(dict.fromkeys(work.warnings)))


def _containers_last(operations: list[Operation]) -> list[Operation]:
    """Whole containers are inserted and removed last, so that indices of the others hold until then."""
    moves = [op for op in operations if op["path"].count("/") == 3 and op["path"].startswith("/spec/initContainers/")]
    moves += [op for op in operations if op["path"] == "/spec/initContainers"]
    return [op for op in operations if op not in moves] + moves


def _metadata(work: _Work, metadata: Mapping[str, Any]) -> None:
    annotations, labels = metadata.get("annotations"), metadata.get("labels")
    want = parts.plan_annotations(work.plans)
    foreign = [key for key in annotations or {} if names.is_our_annotation(key) and key not in want]
    work.operations += merge_map("/metadata/annotations", annotations, want, foreign)
    want_labels = {names.INJECTED_LABEL: "true"} if work.plans else {}
    stale_labels = [key for key in labels or {} if names.is_our_annotation(key) and key not in want_labels]
    work.operations += merge_map("/metadata/labels", labels, want_labels, stale_labels)
    if not work.outdated:
        work.warnings += [
            f"metadata.{where}[{key}]: the prefix is Apostille's; removed"
            for where, keys in (("annotations", foreign), ("labels", stale_labels))
            for key in keys
        ]


def _volumes(work: _Work, spec: Mapping[str, Any]) -> None:
    have = spec.get("volumes") or []
    want = parts.volumes(work.plans)
    wanted = {volume["name"] for volume in want}
    stale: list[int] = []
    seen: set[str] = set()
    for i, volume in enumerate(have):
        name = str(volume.get("name"))
        if names.is_our_volume(name) and (name not in wanted or name in seen):
            stale.append(i)
        seen.add(name)
    if stale and not work.outdated:
        shown = ", ".join(have[i]["name"] for i in stale)
        work.warnings.append(f"spec.volumes: {shown} is reserved to Apostille and not part of this pod's plan; removed")
    if not work.outdated:
        work.warnings += [
            f"spec.volumes[{i}].name: {volume['name']} is reserved to Apostille; the volume is replaced"
            for i, volume in enumerate(have)
            if volume.get("name") in wanted and volume not in want and i not in stale
        ]
    work.operations += merge_list("/spec/volumes", have, want, stale)


def _sections(work: _Work) -> None:
    """A file has one section of a name; the pod's containers share it."""
    owners: dict[tuple[str, str], str] = {}
    for plan in work.plans:
        if (section := plan.frozen.section) is None:
            continue
        other = owners.setdefault((section.file, section.name), plan.binding)
        if other != plan.binding:
            work.denials.append(
                f"metadata.annotations[{names.shared_annotation(section.file)}]: WorkloadBindings {other} and "
                f"{plan.binding} both are profile {section.name}; give each a name of its own (spec.delivery.profile)"
            )


def _endpoints(work: _Work, spec: Mapping[str, Any]) -> None:
    """Ports on the pod's loopback are shared by its containers, and with ``hostNetwork`` by the whole node."""
    declared = parts.declared_ports(spec)
    for plan in work.plans:
        for serve in parts.served(plan):
            if spec.get("hostNetwork"):
                work.denials.append(
                    f"spec.hostNetwork: WorkloadBinding {plan.binding} has an endpoint on loopback, which every "
                    "process of the node could take or ask; deliver files instead (drop spec.delivery.endpoint)"
                )
            elif serve.port in declared:
                work.denials.append(
                    f"spec.containers: container {declared[serve.port]} declares port {serve.port}, where the endpoint "
                    f"of WorkloadBinding {plan.binding} is to listen; choose another spec.delivery.endpoint.port"
                )
        notify = plan.frozen.admission.notify if plan.frozen.admission is not None else None
        if notify is not None and notify.signal and not spec.get("shareProcessNamespace"):
            work.warnings.append(
                f"WorkloadBinding {plan.binding}: spec.delivery.notify.signal reaches nobody in a pod without "
                "shareProcessNamespace"
            )
    port = work.settings.metrics_port
    if port and any(plan.frozen.admission for plan in work.plans) and not parts.counts_at(spec, work.settings):
        work.warnings.append(f"the exchange sidecar serves no metrics in this pod: port {port} is not free in it")


def _exchange(work: _Work, spec: Mapping[str, Any]) -> None:
    """What exchanges: before the other init containers, so that they have credentials, but after mesh proxies."""
    have = spec.get("initContainers") or []
    want = {container["name"]: container for container in parts.exchange_containers(work.plans, spec, work.settings)}
    found = [i for i, container in enumerate(have) if container.get("name") in names.OUR_CONTAINERS]
    kept: dict[str, int] = {}
    for i in found:
        if (name := have[i]["name"]) in want:
            kept.setdefault(name, i)
    if kept.get(names.INIT_CONTAINER, -1) > kept.get(names.EXCHANGE_CONTAINER, len(have)):
        del kept[names.EXCHANGE_CONTAINER]  # made again, behind the one that runs once
    for i in found:
        name = have[i]["name"]
        stays = kept.get(name) == i
        if stays and parts.same_container(have[i], want[name]):
            continue
        if not work.outdated:
            work.warnings.append(
                f"spec.initContainers[{i}].name: {name} is reserved to Apostille; "
                f"the container is {'replaced' if stays else 'removed'}"
            )
        if stays:
            # Before the removals, which shift the indices behind them.
            work.operations.append({"op": "replace", "path": f"/spec/initContainers/{i}", "value": want[name]})
    gone = [i for i in found if i not in kept.values()]
    work.operations += [{"op": "remove", "path": f"/spec/initContainers/{i}"} for i in sorted(gone, reverse=True)]
    missing = [container for name, container in want.items() if name not in kept]
    if not missing:
        return
    if not have:
        work.operations.append({"op": "add", "path": "/spec/initContainers", "value": missing})
        return
    others = [container.get("name") for i, container in enumerate(have) if i not in gone]
    after = 0
    while after < len(others) and others[after] in work.settings.mesh_proxies:
        after += 1
    if names.INIT_CONTAINER in kept:
        after = others.index(names.INIT_CONTAINER) + 1
    # The last first: each is put where the one before it will be.
    work.operations += [
        {"op": "add", "path": f"/spec/initContainers/{after}", "value": container} for container in reversed(missing)
    ]


def _container(work: _Work, section: str, index: int, container: Mapping[str, Any]) -> None:
    name = container.get("name", "")
    path = f"/spec/{section}/{index}"
    mine = [plan for plan in work.plans if plan.frozen.reaches(name) and name not in work.settings.mesh_proxies]
    _mounts(work, path, f"spec.{section}[{index}]", container, mine)
    _proxies(work, f"spec.{section}[{index}]", container, mine)
    _environment(work, path, f"spec.{section}[{index}]", container, mine)


def _mounts(work: _Work, path: str, shown: str, container: Mapping[str, Any], plans: Sequence[PodPlan]) -> None:
    have = container.get("volumeMounts") or []
    want = parts.container_mounts(plans)
    by_path = {mount["mountPath"]: mount for mount in want}
    stale: list[int] = []
    kept: set[str] = set()
    for i, mount in enumerate(have):
        at, volume = str(mount.get("mountPath") or "").rstrip("/"), str(mount.get("name"))
        if mount == by_path.get(at) and at not in kept:
            kept.add(at)
        elif names.is_our_volume(volume):
            stale.append(i)
            if not work.outdated:
                work.warnings.append(
                    f"{shown}.volumeMounts[{i}]: volume {volume} is Apostille's, which mounts it itself; removed"
                )
        elif work.plans and parts.is_our_path(at):
            work.denials.append(
                f"{shown}.volumeMounts[{i}].mountPath: {at} is reserved to Apostille; mount volume {volume!r} elsewhere"
            )
    missing = [mount for mount in want if mount["mountPath"] not in kept]
    work.operations += [{"op": "remove", "path": f"{path}/volumeMounts/{i}"} for i in sorted(stale, reverse=True)]
    if missing and not container.get("volumeMounts"):
        work.operations.append({"op": "add", "path": f"{path}/volumeMounts", "value": missing})
    else:
        work.operations += [{"op": "add", "path": f"{path}/volumeMounts/-", "value": mount} for mount in missing]


def _environment(work: _Work, path: str, shown: str, container: Mapping[str, Any], plans: Sequence[PodPlan]) -> None:
    have = container.get("env") or []
    name = container.get("name", "")
    want: dict[str, tuple[str, str]] = {}
    disputed: dict[tuple[str, str], list[str]] = {}
    for plan in plans:
        for key, value in plan.frozen.environment.items():
            if key in want and want[key][0] != value:
                disputed.setdefault((want[key][1], plan.binding), []).append(key)
            want.setdefault(key, (value, plan.binding))
    work.denials += [
        f"{shown}.env: WorkloadBindings {one} and {other} both set {', '.join(keys)} in container {name}; "
        "give each its own containers (spec.delivery.containers.include), or a name by which the application chooses "
        "(spec.delivery.profile), or leave the variables of one out (spec.delivery.environment: Omit)"
        for (one, other), keys in disputed.items()
    ]
    stale: list[int] = []
    operations: list[Operation] = []
    # Of several variables of one name the last counts (core/v1 Container.env).
    last = {variable.get("name", ""): i for i, variable in enumerate(have)}
    for i, variable in enumerate(have):
        key = variable.get("name", "")
        if key in want:
            if i != last[key]:
                continue
            value, binding = want.pop(key)
            if variable.get("value") == value and variable.get("valueFrom") is None:
                continue
            if work.outdated:
                operations.append({"op": "replace", "path": f"{path}/env/{i}", "value": {"name": key, "value": value}})
            else:
                work.warnings.append(
                    f"{shown}.env[{i}]: container {name} sets {key} itself, which wins over WorkloadBinding {binding}; "
                    "remove it from the pod's template"
                )
        elif work.outdated and parts.points_to_us(variable):
            stale.append(i)
        elif any(key in plan.static_credentials for plan in plans):
            work.warnings.append(
                f"{shown}.env[{i}]: container {name} sets {key}, a static credential that the SDK prefers over the "
                "federated identity; remove it"
            )
    operations += [{"op": "remove", "path": f"{path}/env/{i}"} for i in sorted(stale, reverse=True)]
    missing = [{"name": key, "value": value} for key, (value, _) in want.items()]
    if missing and not have:
        operations.append({"op": "add", "path": f"{path}/env", "value": missing})
    else:
        operations += [{"op": "add", "path": f"{path}/env/-", "value": variable} for variable in missing]
    work.operations += operations


def _proxies(work: _Work, shown: str, container: Mapping[str, Any], plans: Sequence[PodPlan]) -> None:
    """What requests and curl send to a proxy although it is meant for the pod's loopback: the endpoint's secret too."""
    env = {str(v.get("name", "")).lower(): str(v.get("value", "")) for v in container.get("env") or ()}
    around = [host.strip() for host in env.get("no_proxy", "").split(",")]
    if not env.get("http_proxy") or "*" in around or any(host.startswith("127.") for host in around):
        return
    work.warnings += [
        f"{shown}.env: container {container.get('name')} sets HTTP_PROXY, and a client that obeys it would ask the "
        f"proxy for the endpoint of WorkloadBinding {plan.binding} and show it the secret; add 127.0.0.1 to NO_PROXY"
        for plan in plans
        # Clients of the shape aws use no proxy for it.
        if any(serve.shape != "aws" for serve in parts.served(plan))
    ]


def _missing_containers(work: _Work, spec: Mapping[str, Any]) -> None:
    present = {c.get("name") for section in ("initContainers", "containers") for c in spec.get(section) or ()}
    for plan in work.plans:
        field_name = "include" if plan.frozen.include else "exclude"
        if absent := [name for name in (*plan.frozen.include, *plan.frozen.exclude) if name not in present]:
            work.warnings.append(
                f"WorkloadBinding {plan.binding}: spec.delivery.containers.{field_name} names {', '.join(absent)}, "
                f"which this pod does not have (it has {', '.join(sorted(str(name) for name in present))})"
            )
