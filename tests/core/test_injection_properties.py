"""Injection over generated pods: what must hold for every pod, not only for those somebody thought of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import jsonpatch
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from apostille.core import pod_parts
from apostille.core.desired import plans_for
from apostille.core.inject import Injection, inject
from apostille.core.pod_plan import PodPlan
from apostille.core.settings import InjectionSettings
from apostille.model import names
from apostille.model.identity import ServiceAccount
from builders import binding, defaulted, plan, role, sidecar, trust, world
from properties import examples

FAST = examples(40)
SETTINGS = InjectionSettings()

SDK = plan(binding("s3-reader"))
SDK_FOR_APP = plan(binding("s3-app", delivery={"mode": "SDK", "containers": {"include": ["app"]}}))
SIDECAR = plan(sidecar("files"))
SIDECAR_FOR_APP = plan(sidecar("files-app", delivery={"mode": "Sidecar", "containers": {"include": ["app"]}}))
SIDECAR_FOR_WORKER = plan(sidecar("files-worker", delivery={"mode": "Sidecar", "containers": {"include": ["worker"]}}))
OTHER_ROLE = plan(
    binding("s3-reader", target={"aws": {"roleARN": role("other")}}), trust(audience="https://aws-other.sts.example")
)
ONCE = plan(sidecar("once", delivery={"mode": "Init"}))
TOKEN = plan(binding("token", delivery={"mode": "TokenOnly", "containers": {"exclude": ["app"]}}))
BARE = plan(sidecar("bare", delivery={"mode": "Sidecar", "environment": "Omit"}))
PLANS: list[list[PodPlan]] = [
    [SDK],
    [SIDECAR],
    [SDK_FOR_APP],
    [SIDECAR_FOR_APP],
    [SDK, SIDECAR],
    [SIDECAR_FOR_APP, SDK_FOR_APP],
    [ONCE],
    [BARE, ONCE, TOKEN],
    [SIDECAR_FOR_APP, SIDECAR_FOR_WORKER, TOKEN],
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


PLAN_TEXTS = [*(pod_parts.plan_text(want) for want in PLANS), "", "{}", "null", "no plan"]
OUR_KEYS = [
    names.PLAN_ANNOTATION, names.INJECTED_LABEL, "apostille.dev/other", "files.apostille.dev/s3-reader.config.json",
]  # fmt: skip
OUR_VOLUMES = [
    names.token_volume("s3-reader"), names.token_volume("files"), names.token_volume("of-nobody"), names.FILES_VOLUME,
    names.CREDENTIALS_VOLUME, names.credentials_volume("files"), names.credentials_volume("of-nobody"),
]  # fmt: skip
OUR_PATHS = [
    names.token_directory("s3-reader"), names.TOKENS_DIRECTORY, names.FILES_DIRECTORY + "/",
    names.CREDENTIALS_DIRECTORY, "/var/run//apostille.dev", names.CREDENTIALS_DIRECTORY + "/files",
]  # fmt: skip
deep = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), words),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(odd_keys, inner, max_size=2)),
    max_leaves=6,
)
forged_volumes = st.builds(
    lambda name, source: {"name": name, **source},
    st.sampled_from(OUR_VOLUMES),
    st.sampled_from(
        [
            {"hostPath": {"path": "/"}},
            {"emptyDir": None},
            {"projected": None},
            {
                "projected": {
                    "sources": [{"serviceAccountToken": {"audience": "https://else.example", "path": "token"}}]
                }
            },
            {"ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}},
            *pod_parts.volumes([SDK, SIDECAR]),
        ]
    ),
)
forged_mounts = st.one_of(
    st.sampled_from(pod_parts.container_mounts([SDK, SIDECAR])),
    st.builds(
        lambda name, path, more: {"name": name, "mountPath": path, **more},
        st.sampled_from([*OUR_VOLUMES, "data"]),
        st.sampled_from(["/stolen", "/var/run", *OUR_PATHS]),
        st.sampled_from([{}, {"subPath": "token"}, {"readOnly": True}, {"mountPropagation": None}]),
    ),
)
forged_environment = st.builds(
    lambda name, rest: {"name": name, **rest},
    st.sampled_from(["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SHARED_CREDENTIALS_FILE", "MINE"]),
    st.sampled_from(
        [
            {"value": role("payments-reader"), "valueFrom": None},
            {"value": names.token_file("of-nobody")},
            {"value": names.credentials_directory("files") + "/../../x"},
            {"valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}},
            {"value": None},
            {},
        ]
    ),
)


def mixed_in(draw: st.DrawFn, into: dict[str, Any], key: str, forged: st.SearchStrategy[Any], most: int = 3) -> None:
    """Forged entries at any place of a list, twice the same ones too."""
    for entry in draw(st.lists(forged, max_size=most)):
        entries = into.get(key) or []
        entries.insert(draw(st.integers(0, len(entries))), deepcopy(entry))
        into[key] = entries


@st.composite
def hostile_pods(draw: st.DrawFn) -> dict[str, Any]:
    """Pods under whose hands our names, nulls, what only running pods have, and fields of a later Kubernetes came."""
    pod = draw(pods())
    metadata, spec = pod["metadata"], pod["spec"]
    for key in ("annotations", "labels"):
        forged = draw(st.dictionaries(st.sampled_from(OUR_KEYS), st.sampled_from(PLAN_TEXTS), max_size=3))
        if forged:
            metadata[key] = {**forged, **(metadata.get(key) or {})}
    mixed_in(draw, spec, "volumes", forged_volumes)
    mixed_in(draw, spec, "initContainers", st.builds(
        lambda name, rest: {"name": name, **rest},
        st.sampled_from(sorted(names.OUR_CONTAINERS)),
        st.sampled_from([{"image": "evil:1"}, {"args": None, "env": None}, {"image": "x", "restartPolicy": "Always"}]),
    ), most=2)  # fmt: skip
    if draw(st.integers(0, 9)) == 0:
        mixed_in(draw, spec, "containers", st.builds(dict, name=st.sampled_from(sorted(names.OUR_CONTAINERS))), most=1)
    for container in [*(spec.get("initContainers") or ()), *spec["containers"]]:
        mixed_in(draw, container, "volumeMounts", forged_mounts)
        mixed_in(draw, container, "env", forged_environment)
        container["future"] = draw(deep)
    for volume in spec.get("volumes") or ():
        if not names.is_our_volume(volume["name"]):
            volume["future"] = draw(deep)
    optional(draw, spec, "os", st.sampled_from([{"name": "linux"}, {"name": "windows"}, {}]))
    optional(draw, spec, "ephemeralContainers", st.just(
        [{"name": "debug", "volumeMounts": [{"name": OUR_VOLUMES[0], "mountPath": "/stolen"}]}]
    ))  # fmt: skip
    optional(draw, spec, "serviceAccountName", st.just("reader"))
    spec["future"], pod["status"] = draw(deep), draw(st.sampled_from([{}, None, {"phase": "Pending"}]))
    return pod


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
def test_a_container_sees_what_is_of_its_own_bindings_and_nothing_of_others(
    pod: dict[str, Any], want: list[PodPlan]
) -> None:
    """By names and paths alone: a volume with identities belongs to one binding, and lies at its place."""
    injected = apply(pod, inject(pod, want, SETTINGS))
    for container in [*(injected["spec"].get("initContainers") or ()), *injected["spec"]["containers"]]:
        name = container["name"]
        if name in names.OUR_CONTAINERS:
            continue
        own = [p for p in want if p.frozen.reaches(name) and name not in SETTINGS.mesh_proxies]
        allowed = {(names.credentials_volume(p.binding), names.credentials_directory(p.binding)) for p in own
                   if p.frozen.delivery in ("Sidecar", "Init")}  # fmt: skip
        allowed |= {(names.token_volume(p.binding), names.token_directory(p.binding)) for p in own
                    if p.frozen.delivery in ("SDK", "TokenOnly")}  # fmt: skip
        mounts = [mount for mount in container.get("volumeMounts") or () if names.holds_identity(mount["name"])]
        assert {(mount["name"], mount["mountPath"]) for mount in mounts} == allowed
        assert all(mount["readOnly"] is True and "subPath" not in mount for mount in mounts)


def test_the_hostile_pods_are_not_all_refused() -> None:
    """Otherwise the properties below would say nothing."""
    for refused in (True, False):
        find(
            st.tuples(hostile_pods(), plans),
            lambda drawn, refused=refused: bool(inject(*drawn, SETTINGS).denial) is refused,  # type: ignore[misc]
            settings=settings(max_examples=500, database=None, derandomize=True, phases=[Phase.generate]),
        )


any_plans = st.one_of(plans, st.just([]))


@FAST
@given(hostile_pods(), any_plans)
def test_a_hostile_pod_is_refused_with_its_field_or_brought_to_the_plan(
    pod: dict[str, Any], want: list[PodPlan]
) -> None:
    before = deepcopy(pod)
    found = inject(pod, want, SETTINGS)
    assert pod == before, "the input is not changed in place"
    if found.denial:
        assert found.operations == ()
        assert found.denial.startswith("spec."), "the field is named"
        return
    injected = apply(pod, found)
    windows = (pod["spec"].get("os") or {}).get("name") == "windows"
    assert_exactly_ours(injected, [] if windows else want)
    assert inject(injected, want, SETTINGS).operations == (), "injecting twice changes nothing"
    everything = variables([plan for plans in PLANS for plan in plans]) | {"MINE", "ASSERTION"}
    assert ours_removed(injected, everything) == ours_removed(pod, everything), "what is unknown or foreign survives"


def assert_exactly_ours(pod: Mapping[str, Any], want: list[PodPlan]) -> None:
    """What is under our names is what the plans say, once each, and nothing else."""
    want = sorted(want, key=lambda plan: plan.binding)
    assert _ours(pod, "annotations") == pod_parts.plan_annotations(want)
    assert _ours(pod, "labels") == ({names.INJECTED_LABEL: "true"} if want else {})
    volumes = [volume for volume in pod["spec"].get("volumes") or () if names.is_our_volume(volume["name"])]
    assert sorted(volumes, key=str) == sorted(pod_parts.volumes(want), key=str)
    assert _sidecars(pod) == pod_parts.exchange_containers(want, pod["spec"], SETTINGS)
    assert all(container["name"] not in names.OUR_CONTAINERS for container in pod["spec"]["containers"])
    for container in [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]:
        if container["name"] in names.OUR_CONTAINERS:
            continue
        mine = [
            plan
            for plan in want
            if container["name"] not in SETTINGS.mesh_proxies and plan.frozen.reaches(container["name"])
        ]
        mounts = [mount for mount in container.get("volumeMounts") or () if names.is_our_volume(mount["name"])]
        assert sorted(mounts, key=str) == sorted(pod_parts.container_mounts(mine), key=str)
        if want:
            others = [mount for mount in container.get("volumeMounts") or () if mount not in mounts]
            assert not any(pod_parts.is_our_path(mount["mountPath"]) for mount in others)


@FAST
@given(hostile_pods(), plans)
def test_the_same_pod_gives_the_same_answer(pod: dict[str, Any], want: list[PodPlan]) -> None:
    """Whatever the order of its members, and however often it is asked."""
    found = inject(pod, want, SETTINGS)
    assert inject(deepcopy(pod), want, SETTINGS) == found
    turned = inject(_turned(pod), want, SETTINGS)
    assert turned.denial == found.denial
    assert _sorted(turned.operations) == _sorted(found.operations)
    assert json.loads(json.dumps(found.operations)) == list(found.operations), "a patch is JSON"


def _turned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _turned(value[key]) for key in reversed(value)}
    return [_turned(child) for child in value] if isinstance(value, list) else value


def _sorted(operations: Any) -> list[str]:
    return sorted(json.dumps(operation, sort_keys=True) for operation in operations)


@FAST
@given(hostile_pods(), st.sampled_from(["suspended", "not allowed", "other account", "no trust"]))
def test_what_the_rules_refuse_injects_nothing_whatever_the_pod_brings(pod: dict[str, Any], case: str) -> None:
    refused = {
        "suspended": binding(suspended=True),
        "not allowed": binding(target={"aws": {"roleARN": role("admin")}}),
        "other account": binding(target={"aws": {"roleARN": role("payments-reader", "999999999999")}}),
        "no trust": binding(trustRef={"name": "nobody"}),
    }[case]
    found = inject(pod, plans_for(world([trust()], [refused]), ServiceAccount("payments", "reader")), SETTINGS)
    assert all(operation["op"] == "remove" for operation in found.operations)
    if not found.denial:
        assert_exactly_ours(apply(pod, found), [])


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
    assert all(operation["value"]["name"] in names.OUR_CONTAINERS for operation in beyond)
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


def test_what_arrives_under_our_names_in_another_order_is_put_in_order() -> None:
    forged = [{"name": name, "image": "theirs"} for name in (names.EXCHANGE_CONTAINER, names.INIT_CONTAINER, "own")]
    pod = {"metadata": {"name": "x"}, "spec": {"initContainers": forged, "containers": [{"name": "app", "image": "a"}]}}

    injected = apply(pod, inject(pod, [BARE, ONCE], SETTINGS))

    assert_exactly_ours(injected, [BARE, ONCE])
    assert [one["name"] for one in injected["spec"]["initContainers"]] == [
        names.INIT_CONTAINER, names.EXCHANGE_CONTAINER, "own",
    ]  # fmt: skip
