"""Injection over generated pods: what must hold for every pod, not only for those somebody thought of."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import jsonpatch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apostille.core.inject import Injection, inject
from apostille.core.pod_plan import PodPlan
from apostille.core.settings import InjectionSettings
from apostille.model import names
from builders import binding, defaulted, plan, role, sidecar, trust

FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SETTINGS = InjectionSettings()

SDK = plan(binding("s3-reader"))
SDK_FOR_APP = plan(binding("s3-app", delivery={"mode": "SDK", "containers": {"include": ["app"]}}))
SIDECAR = plan(sidecar("files"))
SIDECAR_FOR_APP = plan(sidecar("files-app", delivery={"mode": "Sidecar", "containers": {"include": ["app"]}}))
OTHER_ROLE = plan(
    binding("s3-reader", target={"aws": {"roleARN": role("other")}}), trust(audience="https://aws-other.sts.example")
)
PLANS: list[list[PodPlan]] = [
    [SDK],
    [SIDECAR],
    [SDK_FOR_APP],
    [SIDECAR_FOR_APP],
    [SDK, SIDECAR],
    [SIDECAR_FOR_APP, SDK_FOR_APP],
]

plans = st.sampled_from(PLANS)
odd_keys = st.sampled_from(["a/b", "a~b", "~1", "x.io/~0/y", "", "plain", "sidecar.istio.io/status"])
words = st.text("abcxyz/~ é\"'\\", max_size=8)
maps = st.one_of(st.none(), st.dictionaries(odd_keys, words, max_size=4))
unknown = st.dictionaries(
    st.sampled_from(["futureField", "x-new", "alpha~beta/gamma"]),
    st.one_of(words, st.integers(), st.lists(words, max_size=2)),
    max_size=2,
)
environment = st.lists(
    st.one_of(
        st.builds(
            lambda name, value: {"name": name, "value": value},
            st.sampled_from(["PATH", "AWS_REGION", "AWS_ROLE_ARN", "MODE"]), words,
        ),
        st.just({"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}),
        st.just({"name": "ASSERTION", "value": names.token_file("s3-reader")}),
        st.just({"name": "AWS_ACCESS_KEY_ID", "value": "x"}),
    ),
    max_size=3, unique_by=lambda variable: variable["name"],
)  # fmt: skip
MOUNTS: list[dict[str, Any]] = [
    {"name": "data", "mountPath": "/data"},
    {"name": "tmp", "mountPath": "/tmp", "subPath": "a"},
    {"name": "kube-api-access-1", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True},
    {"name": "run", "mountPath": "/var/run"},
]
mounts = st.lists(st.sampled_from(MOUNTS), max_size=3, unique_by=lambda mount: str(mount["mountPath"]))


def optional(draw: st.DrawFn, target: dict[str, Any], key: str, strategy: st.SearchStrategy[Any]) -> None:
    """Absent, null or a value: all three reach a webhook."""
    kind = draw(st.sampled_from(["absent", "null", "value", "value"]))
    if kind != "absent":
        target[key] = draw(strategy) if kind == "value" else None


@st.composite
def containers(draw: st.DrawFn, name: str) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "image": f"{name}:1", **draw(unknown)}
    optional(draw, made, "env", environment)
    optional(draw, made, "volumeMounts", mounts)
    optional(draw, made, "securityContext", st.sampled_from([{"runAsUser": 1000}, {"runAsUser": 0}, {}]))
    return made


@st.composite
def pods(draw: st.DrawFn) -> dict[str, Any]:
    """Pods without anything of ours, as authors, controllers and other webhooks leave them."""
    metadata: dict[str, Any] = {"generateName": "web-", "namespace": "payments", **draw(unknown)}
    optional(draw, metadata, "annotations", maps)
    optional(draw, metadata, "labels", maps)
    several = draw(st.lists(st.sampled_from(["app", "worker", "istio-proxy"]), min_size=1, max_size=3, unique=True))
    first = draw(
        st.lists(st.sampled_from(["istio-init", "istio-proxy2", "migrate", "linkerd-proxy"]), max_size=3, unique=True)
    )
    spec: dict[str, Any] = {"containers": [draw(containers(name)) for name in several], **draw(unknown)}
    if draw(st.booleans()) or first:
        spec["initContainers"] = [draw(containers(name)) for name in first]
    optional(draw, spec, "volumes", st.lists(
        st.sampled_from([{"name": "data", "emptyDir": {}}, {"name": "run", "hostPath": {"path": "/x"}, "future": 1}]),
        max_size=2, unique_by=lambda volume: volume["name"],
    ))  # fmt: skip
    optional(draw, spec, "securityContext", st.sampled_from([{"fsGroup": 2000}, {"runAsUser": 1000}, {}]))
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, **draw(unknown)}


def apply(pod: Mapping[str, Any], injection: Injection) -> dict[str, Any]:
    """By another's implementation of RFC 6902."""
    assert not injection.denial
    patched: dict[str, Any] = jsonpatch.apply_patch(deepcopy(dict(pod)), list(injection.operations))
    return patched


def ours_removed(pod: Mapping[str, Any], environment: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The pod without what is under our names, without ``environment``, and without what is empty or null."""
    rest = deepcopy(dict(pod))
    for key in ("annotations", "labels"):
        rest["metadata"][key] = {
            k: v for k, v in (rest["metadata"].get(key) or {}).items() if not names.is_our_annotation(k)
        }
    spec = rest["spec"]
    spec["volumes"] = [v for v in spec.get("volumes") or () if not names.is_our_volume(v["name"])]
    for section in ("initContainers", "containers"):
        spec[section] = [c for c in spec.get(section) or () if c["name"] not in names.OUR_CONTAINERS]
        for container in spec[section]:
            container["volumeMounts"] = [
                m for m in container.get("volumeMounts") or () if not names.is_our_volume(m["name"])
            ]
            container["env"] = [e for e in container.get("env") or () if e["name"] not in environment]
    cleaned: dict[str, Any] = _without_empty(rest)
    return cleaned


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_empty(child) for key, child in value.items()}
        return {key: child for key, child in kept.items() if child not in (None, {}, [])}
    return [_without_empty(child) for child in value] if isinstance(value, list) else value


def variables(of: list[PodPlan]) -> frozenset[str]:
    return frozenset(name for p in of for name in p.frozen.environment)


@FAST
@given(pods(), plans)
def test_every_patch_applies_and_touches_nothing_foreign(pod: dict[str, Any], want: list[PodPlan]) -> None:
    before = deepcopy(pod)
    injected = apply(pod, inject(pod, want, SETTINGS))
    assert pod == before, "the input is not changed in place"
    assert ours_removed(injected, variables(want)) == ours_removed(pod, variables(want))
    for section in ("initContainers", "containers"):
        after = {c["name"]: c for c in injected["spec"].get(section) or ()}
        for container in pod["spec"].get(section) or ():
            own = container.get("env") or []
            assert (after[container["name"]].get("env") or [])[: len(own)] == own, "what the author set stays, in place"


@FAST
@given(pods(), plans)
def test_injecting_twice_changes_nothing(pod: dict[str, Any], want: list[PodPlan]) -> None:
    injected = apply(pod, inject(pod, want, SETTINGS))
    assert inject(injected, want, SETTINGS).operations == ()
    assert inject(injected, list(reversed(want)), SETTINGS).operations == ()


@FAST
@given(pods(), plans)
def test_nor_does_it_after_the_api_servers_defaulting(pod: dict[str, Any], want: list[PodPlan]) -> None:
    injected = defaulted(apply(pod, inject(pod, want, SETTINGS)))
    assert inject(injected, want, SETTINGS).operations == ()


@FAST
@given(pods(), plans, containers("late"), st.booleans())
def test_a_second_call_touches_only_what_another_webhook_added(
    pod: dict[str, Any], want: list[PodPlan], late: dict[str, Any], first: bool
) -> None:
    injected = apply(pod, inject(pod, want, SETTINGS))
    section = injected["spec"].setdefault("initContainers", []) if first else injected["spec"]["containers"]
    section.append(late)
    injected["spec"]["volumes"].append({"name": "late", "emptyDir": {}})
    for container in injected["spec"]["containers"]:
        container["env"] = [*(container.get("env") or ()), {"name": "LATE", "value": "1"}]
    again = inject(injected, want, SETTINGS)
    own = f"/spec/{'initContainers' if first else 'containers'}/{len(section) - 1}/"
    beyond = [operation for operation in again.operations if not operation["path"].startswith(own)]
    # A container of another uid must be able to read the credentials as well: that is the sidecar's to change.
    assert not first or not beyond
    assert all(operation["value"]["name"] == names.EXCHANGE_CONTAINER for operation in beyond)
    assert inject(apply(injected, again), want, SETTINGS).operations == ()


@FAST
@given(pods(), plans, plans)
def test_a_copied_pod_is_brought_to_the_current_plan(
    pod: dict[str, Any], old: list[PodPlan], want: list[PodPlan]
) -> None:
    copied = apply(pod, inject(pod, old, SETTINGS))
    rewritten = apply(copied, inject(copied, want, SETTINGS))
    fresh = apply(pod, inject(pod, want, SETTINGS))
    assert inject(rewritten, want, SETTINGS).operations == ()
    for key in ("annotations", "labels"):
        assert _ours(rewritten, key) == _ours(fresh, key)
    assert _by_name(rewritten["spec"]["volumes"]) == _by_name(fresh["spec"]["volumes"])
    assert _sidecars(rewritten) == _sidecars(fresh)
    for section in ("initContainers", "containers"):
        for left, right in zip(rewritten["spec"].get(section) or (), fresh["spec"].get(section) or (), strict=True):
            assert left["name"] == right["name"]
            assert _by_path(left) == _by_path(right)


def _ours(pod: Mapping[str, Any], key: str) -> dict[str, str]:
    return {k: v for k, v in (pod["metadata"].get(key) or {}).items() if names.is_our_annotation(k)}


def _sidecars(pod: Mapping[str, Any]) -> list[Any]:
    return [c for c in pod["spec"].get("initContainers") or () if c["name"] in names.OUR_CONTAINERS]


def _by_name(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {entry["name"]: entry for entry in entries}


def _by_path(container: Mapping[str, Any]) -> dict[str, Any]:
    return {mount["mountPath"]: mount for mount in container.get("volumeMounts") or ()}


@FAST
@given(pods(), plans)
def test_without_plans_a_pod_is_stripped_to_what_it_was(pod: dict[str, Any], old: list[PodPlan]) -> None:
    """Environment that names none of our files may stay: whether an author set it too is not recorded anywhere."""
    injected = apply(pod, inject(pod, old, SETTINGS))
    stripped = apply(injected, inject(injected, [], SETTINGS))
    ours = variables(old) | {"ASSERTION"}
    assert ours_removed(stripped, ours) == ours_removed(pod, ours)
    assert not any(
        f"{names.PREFIX}" in str(value) or names.TOKEN_VOLUME_PREFIX in str(value) for value in _leaves(stripped)
    )


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for key, child in value.items() for leaf in (key, *_leaves(child))]
    return [leaf for child in value for leaf in _leaves(child)] if isinstance(value, list) else [value]


@FAST
@given(pods())
def test_a_pod_that_nothing_is_planned_for_is_left_alone(pod: dict[str, Any]) -> None:
    assert inject(pod, [], SETTINGS) == Injection()


@FAST
@given(pods(), plans, st.randoms(use_true_random=False))
def test_the_patch_does_not_depend_on_the_order_of_plans(pod: dict[str, Any], want: list[PodPlan], random: Any) -> None:
    shuffled = list(want)
    random.shuffle(shuffled)
    assert inject(pod, shuffled, SETTINGS) == inject(pod, want, SETTINGS)


@FAST
@given(pods(), st.sampled_from([[SIDECAR], [SDK, SIDECAR]]))
def test_the_sidecar_comes_first_but_after_mesh_proxies(pod: dict[str, Any], want: list[PodPlan]) -> None:
    injected = apply(pod, inject(pod, want, SETTINGS))
    order = [container["name"] for container in injected["spec"]["initContainers"]]
    at = order.index(names.EXCHANGE_CONTAINER)
    assert all(name in SETTINGS.mesh_proxies for name in order[:at])
    assert order[at + 1 : at + 2] == [] or order[at + 1] not in SETTINGS.mesh_proxies


def test_two_plans_of_one_name_are_told_apart() -> None:
    pod = {"metadata": {}, "spec": {"containers": [{"name": "app"}]}}
    one, other = (apply(pod, inject(pod, [p], SETTINGS)) for p in (SDK, OTHER_ROLE))
    assert one["metadata"]["annotations"] != other["metadata"]["annotations"]
    brought = apply(one, inject(one, [OTHER_ROLE], SETTINGS))
    assert brought == other
