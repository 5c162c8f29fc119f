"""Injection, case by case: what the properties cannot say. The whole patches are in tests/golden."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import jsonpatch
import pytest

from apostille.core.inject import Injection, inject
from apostille.core.pod_plan import PodPlan
from apostille.core.settings import InjectionSettings
from apostille_exchange.recipe import loads_admission
from builders import binding, defaulted, plan, pod, role, sidecar, trust

SETTINGS = InjectionSettings()
SDK, SIDECAR = plan(binding("s3")), plan(sidecar("files"))


def injected(raw: dict[str, Any], *plans: PodPlan) -> dict[str, Any]:
    found = inject(raw, plans, SETTINGS)
    assert not found.denial
    after: dict[str, Any] = jsonpatch.apply_patch(deepcopy(raw), list(found.operations))
    return after


def exchange(raw: dict[str, Any]) -> dict[str, Any]:
    (container,) = [c for c in raw["spec"]["initContainers"] if c["name"] == "apostille-exchange"]
    return dict(container)


def test_users_values_win_and_go_on_winning_when_the_webhook_is_called_again() -> None:
    raw = pod({"name": "app", "env": [{"name": "AWS_REGION", "value": "us-east-1"}]})
    once = injected(raw, SDK)
    assert once["spec"]["containers"][0]["env"][0] == {"name": "AWS_REGION", "value": "us-east-1"}
    again = inject(once, [SDK], SETTINGS)
    assert again.operations == ()
    assert "which wins over WorkloadBinding s3" in again.warnings[0]


def test_of_several_variables_of_one_name_the_last_counts() -> None:
    ours, own = {"name": "AWS_REGION", "value": "eu-west-1"}, {"name": "AWS_REGION", "value": "us-east-1"}
    for env, warned in (([own, ours], False), ([ours, own], True), ([own], True)):
        raw = pod({"name": "app", "env": env})
        assert any("sets AWS_REGION itself" in warning for warning in inject(raw, [SDK], SETTINGS).warnings) is warned
        assert injected(raw, SDK)["spec"]["containers"][0]["env"][: len(env)] == env
    # In a copied pod it is the last one that was the older plan's.
    copied = injected(pod(), plan(binding("s3", token={"expirationSeconds": 900})))
    copied["spec"]["containers"][0]["env"].append(
        {"name": "AWS_ROLE_ARN", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}
    )
    assert injected(copied, SDK)["spec"]["containers"][0]["env"][-1] == {
        "name": "AWS_ROLE_ARN", "value": role("payments-reader"),
    }  # fmt: skip


def test_a_null_is_an_absent_value() -> None:
    ours = {"name": "AWS_REGION", "value": "eu-west-1", "valueFrom": None}
    raw = pod({"name": "app", "env": [ours], "securityContext": {"runAsUser": None}}, securityContext={"runAsUser": 7})
    assert not inject(raw, [SDK], SETTINGS).warnings
    assert exchange(injected(raw, SIDECAR))["securityContext"]["runAsUser"] == 7


def test_our_volumes_and_mounts_are_there_once() -> None:
    once = injected(pod(), SDK)
    twice = deepcopy(once)
    twice["spec"]["volumes"] += once["spec"]["volumes"]
    twice["spec"]["containers"][0]["volumeMounts"] += once["spec"]["containers"][0]["volumeMounts"]
    assert injected(twice, SDK) == once


@pytest.mark.parametrize("want", [[], [SDK], [SIDECAR]])
def test_a_windows_pod_keeps_nothing_under_our_names(want: list[PodPlan]) -> None:
    raw = pod(os={"name": "windows"})
    forged = injected(pod(), SIDECAR) | {"spec": injected(pod(), SIDECAR)["spec"] | {"os": {"name": "windows"}}}
    found = inject(forged, want, SETTINGS)
    after = jsonpatch.apply_patch(forged, list(found.operations))
    assert (after["spec"].get("volumes"), after["spec"]["initContainers"]) == ([], [])
    assert "apostille" not in str(after)
    assert any("Windows" in warning for warning in found.warnings) is bool(want)
    assert inject(raw, want, SETTINGS).operations == ()


def test_a_users_variable_that_names_our_file_stays_when_the_webhook_is_called_again() -> None:
    raw = pod({"name": "app", "env": [{"name": "TOKEN", "value": "/var/run/secrets/apostille.dev/s3/token"}]})
    once = injected(raw, SDK)
    assert inject(once, [SDK], SETTINGS).operations == ()


def test_a_pod_copied_from_an_older_plan_gets_the_current_environment() -> None:
    wide = trust(allow=[{"namespace": "payments", "serviceAccounts": ["reader"], "targets": [role("writer")]}])
    new = plan(binding("s3", target={"aws": {"roleARN": role("writer")}}), wide)
    copied = injected(pod(), SDK)
    assert injected(copied, new) == injected(pod(), new)


@pytest.mark.parametrize(
    "order", [["apostille-exchange", "apostille-init"], ["apostille-init", "apostille-exchange"], ["apostille-init"]]
)
def test_forged_init_containers_become_ours_wherever_they_stand(order: list[str]) -> None:
    forged = [{"name": name, "image": "evil:1"} for name in order]
    raw = pod(initContainers=[{"name": "migrate", "image": "m:1"}, *forged, {"name": "last", "image": "l:1"}])
    after = injected(raw, SIDECAR)
    assert exchange(after)["image"] == SETTINGS.exchange_image
    assert sorted(c["name"] for c in after["spec"]["initContainers"]) == ["apostille-exchange", "last", "migrate"]
    assert "evil:1" not in str(after)
    assert any("is reserved to Apostille" in warning for warning in inject(raw, [SIDECAR], SETTINGS).warnings)


def test_a_forged_init_container_does_not_vanish_silently() -> None:
    raw = pod(initContainers=[{"name": "apostille-init", "image": "mine:1"}])
    found = inject(raw, [SDK], SETTINGS)
    assert found.warnings == (
        "spec.initContainers[0].name: apostille-init is reserved to Apostille; the container is removed",
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"image": "evil:1"},
        {"command": ["sh"]},
        {"args": []},
        {"env": [{"name": "SSL_CERT_FILE", "value": "/evil"}]},
        {"envFrom": [{"secretRef": {"name": "x"}}]},
        {"lifecycle": {"postStart": {"exec": {"command": ["sh"]}}}},
        {"securityContext": {"privileged": True}},
        {"restartPolicy": "Never"},
        {"volumeMounts": []},
        {"terminationMessagePath": "/var/run/apostille.dev/files/credentials"},
    ],
)
def test_nothing_foreign_stays_in_our_container(changed: dict[str, Any]) -> None:
    after = injected(pod(), SIDECAR)
    clean = deepcopy(after)
    exchange_of = next(c for c in after["spec"]["initContainers"] if c["name"] == "apostille-exchange")
    exchange_of.update(changed)
    assert injected(after, SIDECAR) == clean


def test_a_limit_ranges_defaults_stay_in_our_container() -> None:
    after = defaulted(injected(pod(), SIDECAR))
    assert exchange(after)["resources"]["limits"]["cpu"] == "500m"
    assert inject(after, [SIDECAR], SETTINGS).operations == ()
    lowered = deepcopy(after)
    lowered["spec"]["initContainers"][0]["resources"]["limits"]["memory"] = "1Mi"
    assert inject(lowered, [SIDECAR], SETTINGS).operations != ()


@pytest.mark.parametrize(
    ("spec", "containers", "uid", "mode"),
    [
        ({}, [{"name": "app"}], None, 0o644),
        ({"securityContext": {"runAsUser": 1000}}, [{"name": "app"}], 1000, 0o600),
        ({}, [{"name": "app", "securityContext": {"runAsUser": 1001}}], 1001, 0o600),
        ({"securityContext": {"runAsUser": 1}}, [{"name": "app", "securityContext": {"runAsUser": 2}}], 2, 0o600),
        ({"securityContext": {"runAsUser": 1}}, [{"name": "a"}, {"name": "b", "securityContext": {"runAsUser": 2}}],
         None, 0o644),
        ({"securityContext": {"fsGroup": 2000}}, [{"name": "app"}], None, 0o640),
        ({"securityContext": {"fsGroup": 2000, "runAsUser": 1000}}, [{"name": "app"}], 1000, 0o600),
        ({"securityContext": {"runAsUser": 0}}, [{"name": "app"}], 65532, 0o644),
        # A mesh proxy is given no credentials.
        ({"securityContext": {"runAsUser": 7}},
         [{"name": "app"}, {"name": "istio-proxy", "securityContext": {"runAsUser": 1337}}],
         7, 0o600),
    ],
)  # fmt: skip
def test_who_owns_the_credential_files(spec: dict[str, Any], containers: list[Any], uid: int | None, mode: int) -> None:
    container = exchange(injected(pod(*containers, **spec), SIDECAR))
    assert container["securityContext"].get("runAsUser") == uid
    admissions = [text for argument in container["args"] if (text := argument[argument.find("{") :]).startswith("{")]
    assert [output.mode for text in admissions for output in loads_admission(text).outputs] == [mode]


@pytest.mark.parametrize(
    ("uid", "owner", "mode"), [(1000, 1000, 0o600), (1001, None, 0o644), (0, 1000, 0o600), (None, 1000, 0o600)]
)
def test_init_containers_can_read_the_credentials_too(uid: int | None, owner: int | None, mode: int) -> None:
    first = {"name": "migrate", "securityContext": {"runAsUser": uid}}
    container = exchange(injected(pod(initContainers=[first], securityContext={"runAsUser": 1000}), SIDECAR))
    assert container["securityContext"].get("runAsUser") == owner
    assert f'"mode":{mode}' in str(container["args"])
    not_included = plan(sidecar("files", delivery={"mode": "Sidecar", "containers": {"include": ["app"]}}))
    container = exchange(injected(pod(initContainers=[first], securityContext={"runAsUser": 1000}), not_included))
    assert container["securityContext"]["runAsUser"] == 1000


def test_the_exchange_container_passes_pod_security_restricted() -> None:
    security = exchange(injected(pod(), SIDECAR))["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["runAsNonRoot"] is True
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}


def test_least_exposure() -> None:
    after = injected(pod(), SIDECAR)
    app = after["spec"]["containers"][0]
    assert [mount["name"] for mount in app["volumeMounts"]] == ["apostille-credentials-files"]
    assert app["volumeMounts"][0]["readOnly"] is True
    only = plan(binding("s3", delivery={"mode": "SDK", "containers": {"include": ["app"]}}))
    both = injected(pod({"name": "app"}, {"name": "log"}), only)
    assert [bool(c.get("volumeMounts")) for c in both["spec"]["containers"]] == [True, False]
    assert [bool(c.get("env")) for c in both["spec"]["containers"]] == [True, False]


@pytest.mark.parametrize(
    "path",
    [
        "/var/run/apostille.dev",
        "/var/run/apostille.dev/",
        "/var/run//apostille.dev/x",
        "/etc/apostille.dev/plan",
        "/var/run/secrets/apostille.dev/s3",
    ],
)
def test_reserved_paths(path: str) -> None:
    raw = pod(
        {"name": "app", "volumeMounts": [{"name": "data", "mountPath": path}]},
        volumes=[{"name": "data", "emptyDir": {}}],
    )
    found = inject(raw, [SDK], SETTINGS)
    assert found.operations == ()
    assert found.denial.startswith("spec.containers[0].volumeMounts[0].mountPath: ")
    assert inject(raw, [], SETTINGS) == Injection(), "a pod without plans is nobody's business"


def test_two_bindings_may_not_set_one_variable_differently() -> None:
    other = plan(binding("other"))
    found = inject(pod(), [SDK, other], SETTINGS)
    assert found.denial == (
        "spec.containers[0].env: WorkloadBindings other and s3 both set AWS_WEB_IDENTITY_TOKEN_FILE, "
        "AWS_ROLE_SESSION_NAME in container app; give each its own containers (spec.delivery.containers.include), "
        "or a name by which the application chooses (spec.delivery.profile), or leave the variables of one out "
        "(spec.delivery.environment: Omit)"
    )
    beside = plan(binding("other", delivery={"environment": "Omit"}))
    both = injected(pod(), SDK, beside)["spec"]["containers"][0]
    assert {v["value"] for v in both["env"] if v["name"] == "AWS_WEB_IDENTITY_TOKEN_FILE"} == {
        "/var/run/secrets/apostille.dev/s3/token"
    }
    assert [mount["mountPath"] for mount in both["volumeMounts"]] == [
        "/var/run/secrets/apostille.dev/other", "/var/run/secrets/apostille.dev/s3",
    ]  # fmt: skip
    apart = [
        plan(binding(name, delivery={"containers": {"include": [container]}}))
        for name, container in (("s3", "app"), ("other", "log"))
    ]
    assert not inject(pod({"name": "app"}, {"name": "log"}), apart, SETTINGS).denial


def test_a_token_alone_comes_without_environment() -> None:
    container = injected(pod(), plan(binding("raw", delivery={"mode": "TokenOnly"})))["spec"]["containers"][0]
    assert "env" not in container
    assert [mount["name"] for mount in container["volumeMounts"]] == ["apostille-token-raw"]


def test_what_runs_once_is_an_ordinary_init_container_before_the_others() -> None:
    once = plan(sidecar("once", delivery={"mode": "Init", "environment": "Omit"}))
    raw = pod(initContainers=[{"name": "istio-init"}, {"name": "migrate"}], securityContext={"runAsUser": 1000})
    after = injected(raw, once, SIDECAR)
    assert [container["name"] for container in after["spec"]["initContainers"]] == [
        "istio-init", "apostille-init", "apostille-exchange", "migrate",
    ]  # fmt: skip
    made = after["spec"]["initContainers"][1]
    assert made["args"][:4] == ["run", "--plan", "/etc/apostille.dev/plan", "--once"]
    assert {"restartPolicy", "startupProbe", "ports"}.isdisjoint(made)
    (admission,) = (loads_admission(arg.removeprefix("--admission=")) for arg in made["args"][4:])
    assert (admission.binding, [output.mode for output in admission.outputs]) == ("once", [0o600])
    assert made["securityContext"]["runAsUser"] == 1000
    # The token is the init container's alone, as it is the sidecar's.
    (app,) = after["spec"]["containers"]
    assert [mount["name"] for mount in app["volumeMounts"]] == [
        "apostille-credentials-files", "apostille-credentials-once",
    ]  # fmt: skip
    # A pod that had one of the two gets the other at its place.
    for before in ([once], [SIDECAR]):
        first = injected(raw, *before)
        assert [c["name"] for c in injected(first, once, SIDECAR)["spec"]["initContainers"]] == [
            "istio-init", "apostille-init", "apostille-exchange", "migrate",
        ]  # fmt: skip


def test_containers_can_be_left_out() -> None:
    apart = plan(binding("s3", delivery={"containers": {"exclude": ["logs", "gone"]}}))
    raw = pod({"name": "app"}, {"name": "logs"}, initContainers=[{"name": "migrate"}])
    after = injected(raw, apart)["spec"]
    given = [c["name"] for c in (*after["initContainers"], *after["containers"]) if c.get("env")]
    assert given == ["migrate", "app"]
    (warning,) = inject(raw, [apart], SETTINGS).warnings
    assert "spec.delivery.containers.exclude names gone" in warning
    assert apart.frozen.digest != SDK.frozen.digest, "a running pod has it where it should not be"
