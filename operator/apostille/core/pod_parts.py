"""The parts of a pod that are Apostille's: volumes, mounts, annotations, the exchange container."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from apostille.core import delivery
from apostille.core.pod_plan import PodPlan
from apostille.core.settings import InjectionSettings
from apostille.model import names
from apostille_exchange.recipe import (
    ARC_DIRECTORY,
    Admission,
    Plan,
    RecipeError,
    Serve,
    dumps,
    loads,
    ready_arguments,
    run_arguments,
)

CREDENTIALS_SIZE = "4Mi"
NOBODY = 65532  # the uid of the image, as distroless images number it


def plan_annotations(plans: Sequence[PodPlan]) -> dict[str, str]:
    """The plan, and one annotation per public file."""
    if not plans:
        return {}
    files = {names.file_annotation(plan.binding, name): text for plan in plans for name, text in plan.files.items()}
    files |= {names.shared_annotation(file): text for file, text in shared_files(plans).items()}
    return {names.PLAN_ANNOTATION: plan_text(plans), **dict(sorted(files.items()))}


def shared_files(plans: Sequence[PodPlan]) -> dict[str, str]:
    """Files that the bindings of a pod have together, each with the sections of all of them in order of their names."""
    made: dict[str, dict[str, str]] = {}
    for plan in plans:
        if (section := plan.frozen.section) is not None:
            made.setdefault(section.file, {})[section.name] = section.text
    return {file: "\n".join(texts[name] for name in sorted(texts)) for file, texts in sorted(made.items())}


def plan_text(plans: Sequence[PodPlan]) -> str:
    """The annotation ``apostille.dev/plan``."""
    return dumps(
        Plan(
            digests={plan.binding: plan.frozen.digest for plan in plans},
            recipes={plan.binding: plan.live.recipe for plan in plans if plan.live.recipe is not None},
        )
    )


def carries(text: str, plans: Sequence[PodPlan]) -> bool:
    """Whether an annotation ``apostille.dev/plan`` speaks of exactly these plans; an unreadable one never does."""
    try:
        carried = loads(text).digests
    except RecipeError:
        return False
    return dict(carried) == {plan.binding: plan.frozen.digest for plan in plans}


def _needs_files(plans: Sequence[PodPlan]) -> bool:
    return any(plan.shows_files or plan.frozen.admission for plan in plans)


def volumes(plans: Sequence[PodPlan]) -> list[dict[str, Any]]:
    """One projected volume per binding (a denied token blocks its whole volume), public files, credentials."""
    made: list[dict[str, Any]] = [
        {
            "name": names.token_volume(plan.binding),
            "projected": {
                "defaultMode": 420,
                "sources": [
                    {
                        "serviceAccountToken": {
                            "audience": plan.frozen.audience,
                            "expirationSeconds": plan.frozen.token_seconds,
                            "path": "token",
                        }
                    }
                ],
            },
        }
        for plan in plans
    ]
    if _needs_files(plans):
        made.append({"name": names.FILES_VOLUME, "downwardAPI": {"defaultMode": 420, "items": _file_items(plans)}})
    if any(plan.frozen.admission for plan in plans):
        made.append(_in_memory(names.CREDENTIALS_VOLUME))
    made += [_in_memory(names.credentials_volume(plan.binding)) for plan in plans if plan.frozen.admission]
    return made


def _in_memory(name: str) -> dict[str, Any]:
    return {"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": CREDENTIALS_SIZE}}


def _file_items(plans: Sequence[PodPlan]) -> list[dict[str, Any]]:
    items = {"plan": names.PLAN_ANNOTATION}
    for plan in plans:
        for name in plan.files:
            items[f"{plan.binding}/{name}"] = names.file_annotation(plan.binding, name)
    items |= {file: names.shared_annotation(file) for file in shared_files(plans)}
    return [
        {"path": path, "fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.annotations['{key}']"}}
        for path, key in items.items()
    ]


def _token_mount(plan: PodPlan) -> dict[str, Any]:
    return {
        "name": names.token_volume(plan.binding),
        "mountPath": names.token_directory(plan.binding),
        "readOnly": True,
    }


def _credentials_mount(plan: PodPlan) -> dict[str, Any]:
    return {
        "name": names.credentials_volume(plan.binding),
        "mountPath": names.credentials_directory(plan.binding),
    }


_FILES_MOUNT = {"name": names.FILES_VOLUME, "mountPath": names.FILES_DIRECTORY, "readOnly": True}


def container_mounts(plans: Sequence[PodPlan]) -> list[dict[str, Any]]:
    """Least exposure: with the SDK the container sees the assertion, with the sidecar only the credentials.

    ``plans`` are those of its own bindings, and a volume holds the files of one: a container sees no other's.
    """
    mounts = [_token_mount(plan) for plan in plans if plan.frozen.delivery in ("SDK", "TokenOnly")]
    if any(plan.shows_files for plan in plans):
        mounts.append(dict(_FILES_MOUNT))
    mounts += [{**_credentials_mount(plan), "readOnly": True} for plan in plans if plan.frozen.admission]
    # One at most: two bindings with such an endpoint also dispute its variables.
    for plan in plans:
        if any(serve.shape == "azure" for serve in served(plan)):
            mount = {**_credentials_mount(plan), "mountPath": ARC_DIRECTORY, "readOnly": True}
            # A directory, in which nothing is switched: its only file is written once.
            mounts.append({**mount, "subPath": delivery.ARC_FOLDER})
            break
    return mounts


def served(plan: PodPlan) -> tuple[Serve, ...]:
    """The endpoints on loopback that a plan has."""
    return plan.frozen.admission.serves if plan.frozen.admission is not None else ()


def declared_ports(spec: Mapping[str, Any]) -> dict[int, str]:
    """TCP ports that a pod's containers declare, and by which container."""
    return {
        port["containerPort"]: str(container.get("name"))
        for section in ("initContainers", "containers")
        for container in spec.get(section) or ()
        if container.get("name") not in names.OUR_CONTAINERS
        for port in container.get("ports") or ()
        if isinstance(port.get("containerPort"), int) and port.get("protocol", "TCP") == "TCP"
    }


def counts_at(spec: Mapping[str, Any], settings: InjectionSettings) -> int:
    """Where the sidecar of this pod serves ``/metrics``; 0 where the port is not the pod's to give."""
    taken = spec.get("hostNetwork") or settings.metrics_port in declared_ports(spec)
    return 0 if taken else settings.metrics_port


def exchange_containers(
    plans: Sequence[PodPlan], spec: Mapping[str, Any], settings: InjectionSettings
) -> list[dict[str, Any]]:
    """What exchanges, in the order in which it starts: what runs once, then the native sidecar (KEP-753)."""
    exchanging = [plan for plan in plans if plan.frozen.admission is not None]
    once = [plan for plan in exchanging if plan.frozen.delivery == "Init"]
    lasting = [plan for plan in exchanging if plan.frozen.delivery != "Init"]
    made = [_init_container(once, spec, settings)] if once else []
    return [*made, _sidecar_container(lasting, spec, settings)] if lasting else made


def _init_container(plans: Sequence[PodPlan], spec: Mapping[str, Any], settings: InjectionSettings) -> dict[str, Any]:
    """The sidecar's twin that ends with the first credential of each binding."""
    made = _sidecar_container(plans, spec, settings)
    for member in ("restartPolicy", "startupProbe", "ports"):
        made.pop(member, None)
    admissions = [_with_mode(plan.frozen.admission, _file_owner(plans, spec, settings)[1]) for plan in plans
                  if plan.frozen.admission]  # fmt: skip
    return {
        **made,
        "name": names.INIT_CONTAINER,
        "args": run_arguments(admissions, names.PLAN_FILE, "--once", *_egress(settings)),
    }


def _egress(settings: InjectionSettings) -> list[str]:
    if not settings.egress_proxy:
        return []
    return [f"--proxy={settings.egress_proxy}", *(f"--direct={name}" for name in settings.egress_direct)]


def _sidecar_container(
    with_sidecar: Sequence[PodPlan], spec: Mapping[str, Any], settings: InjectionSettings
) -> dict[str, Any]:
    """For all bindings that need one; passes Pod Security `restricted`."""
    uid, mode = _file_owner(with_sidecar, spec, settings)
    admissions = [_with_mode(plan.frozen.admission, mode) for plan in with_sidecar if plan.frozen.admission]
    security: dict[str, Any] = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if uid is not None:
        security["runAsUser"] = uid
    elif (spec.get("securityContext") or {}).get("runAsUser") == 0:
        # Inherited, it would contradict runAsNonRoot and the pod would never start.
        security["runAsUser"] = NOBODY
    options = [f"--state={names.STATE_FILE}", *_egress(settings)]
    ports = []
    if (counted := counts_at(spec, settings)) > 0:
        options.append(f"--metrics-port={counted}")
        ports = [{"name": names.METRICS_PORT_NAME, "containerPort": counted, "protocol": "TCP"}]
    return {
        "name": names.EXCHANGE_CONTAINER,
        "image": settings.exchange_image,
        "imagePullPolicy": settings.image_pull_policy,
        "restartPolicy": "Always",
        "args": run_arguments(admissions, names.PLAN_FILE, *options),
        **({"ports": ports} if ports else {}),
        "resources": dict(settings.resources),
        "securityContext": security,
        "startupProbe": {
            "exec": {"command": ready_arguments(admissions)},
            "periodSeconds": 1,
            "timeoutSeconds": 5,
            "failureThreshold": 600,
        },
        "volumeMounts": [
            *(_token_mount(plan) for plan in with_sidecar),
            dict(_FILES_MOUNT),
            {"name": names.CREDENTIALS_VOLUME, "mountPath": names.CREDENTIALS_DIRECTORY},
            *(_credentials_mount(plan) for plan in with_sidecar),
        ],
    }


def _file_owner(
    plans: Sequence[PodPlan], spec: Mapping[str, Any], settings: InjectionSettings
) -> tuple[int | None, int]:
    """(uid of the sidecar, mode of credential files): the app's declared uid owns them; else fsGroup; else readable.

    No uid is made up: platforms that assign ranges (OpenShift) would refuse it. Root needs no ownership to read, and
    the sidecar never runs as root. Mesh proxies get no credentials, so their uid does not matter.
    """
    security = spec.get("securityContext") or {}

    def uids(section: str) -> set[int | None]:
        return {
            security.get("runAsUser") if own is None else own
            for container in spec.get(section) or ()
            if container.get("name") not in (*settings.mesh_proxies, *names.OUR_CONTAINERS)
            and any(plan.frozen.reaches(str(container.get("name"))) for plan in plans)
            for own in [(container.get("securityContext") or {}).get("runAsUser")]
        }

    readers = uids("containers") | (uids("initContainers") - {0})
    if len(readers) == 1 and (uid := next(iter(readers))) is not None and uid > 0:
        return int(uid), 0o600
    return None, 0o640 if security.get("fsGroup") is not None else 0o644


def _with_mode(admission: Admission, mode: int) -> Admission:
    return replace(
        admission,
        outputs=tuple(o if o.format == "kept" else replace(o, mode=mode) for o in admission.outputs),
        serves=tuple(replace(serve, mode=mode) for serve in admission.serves),
    )


def is_our_path(path: str) -> bool:
    """Whether a mount path lies in, or hides, one of our directories."""
    ours = (names.TOKENS_DIRECTORY, names.FILES_DIRECTORY, names.CREDENTIALS_DIRECTORY)
    # The API server takes a//b and a/./b as they are, and a runtime resolves them.
    plain = "/" + posixpath.normpath(path).lstrip("/")
    return any(plain == own or plain.startswith(own + "/") for own in ours)


def points_to_us(variable: Mapping[str, Any]) -> bool:
    """Whether an environment variable names one of our files: left over in a copied pod."""
    return is_our_path(str(variable.get("value", "")))


# What the API server adds to a container by defaulting, and by the ServiceAccount plugin when it runs again.
_CONTAINER_DEFAULTS = {"terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"}
_PROBE_DEFAULTS = {"successThreshold": 1}
_API_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path


def same_container(have: Mapping[str, Any], want: Mapping[str, Any]) -> bool:
    """Whether ``have`` is ``want`` after the API server's defaulting. Anything else that was added is foreign.

    Resources may be more than ours: LimitRange adds defaults between two calls and would refuse the pod without them.
    """
    bare = {key: value for key, value in have.items() if key not in want and _CONTAINER_DEFAULTS.get(key) != value}
    if bare:
        return False
    mounts = [mount for mount in have.get("volumeMounts") or () if mount.get("mountPath") != _API_TOKEN]
    probe = {k: v for k, v in (have.get("startupProbe") or {}).items() if _PROBE_DEFAULTS.get(k) != v}
    probes = {"startupProbe": probe} if "startupProbe" in want or probe else {}
    resources = _within(want["resources"], have.get("resources") or {})
    return resources and {**have, "volumeMounts": mounts, **probes} == {
        **have,
        **want,
        "resources": have.get("resources"),
    }


def _within(want: Mapping[str, Any], have: Mapping[str, Any]) -> bool:
    return all(
        _within(value, have.get(key) or {}) if isinstance(value, Mapping) else have.get(key) == value
        for key, value in want.items()
    )
