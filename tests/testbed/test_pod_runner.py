"""Pods on the pod runner get what a kubelet gives them, from a real API server."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apostille_testbed import ControlPlane
from apostille_testbed import control_plane as start
from apostille_testbed.pods import Image, PodRunner
from apostille_testbed.pods.api import ApiError
from testbed.pod_runner_scene import (
    AUDIENCE,
    SLEEP,
    Denial,
    Scene,
    container,
    is_ready,
    pod,
    scene,
    token_volume,
    until,
)

pytestmark = pytest.mark.integration
FILE = "files.apostille.dev/s3.config"


@pytest.fixture
def world(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Scene]:
    with scene(control_plane, namespace, tmp_path / "node") as made:
        yield made


@pytest.fixture
def runner(world: Scene) -> Iterator[PodRunner]:
    with world.runner(backoff=0.2) as made:
        yield made


def _read(runner: PodRunner, world: Scene, name: str, path: str) -> str:
    return runner.execute(world.namespace, name, "app", ["cat", path]).stdout


def _restarts(found: dict[str, Any] | None) -> int | None:
    """How often the pod's containers and sidecars were started again."""
    told = (found or {}).get("status", {})
    return sum(
        item["restartCount"] for item in [*told.get("initContainerStatuses", ()), *told.get("containerStatuses", ())]
    )


def _annotated(name: str) -> dict[str, Any]:
    item = {"path": "config", "fieldRef": {"fieldPath": f"metadata.annotations['{FILE}']"}}
    return {"name": name, "downwardAPI": {"items": [item]}}


def test_a_pod_gets_its_token_its_files_and_its_environment(runner: PodRunner, world: Scene) -> None:
    world.call("POST", world.core("configmaps"), {"metadata": {"name": "settings"}, "data": {"region": "eu-west-1"}})
    world.call("POST", world.core("secrets"), {"metadata": {"name": "key"}, "stringData": {"password": "hunter2"}})
    environment = [
        {"name": "REGION", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "region"}}},
        {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "key", "key": "password"}}},
        {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "BOTH", "value": "$(POD)@$(REGION) $$(POD) $(NOBODY)"},
    ]
    script = 'echo "$BOTH|$PASSWORD|$1"; ' + SLEEP
    app = container("app", script, ("token", "/var/run/secrets/apostille.dev/s3"), ("files", "/etc/apostille.dev"))
    app |= {"env": environment, "args": ["sh", "$(REGION)"]}
    world.create(pod("p", app, volumes=[token_volume(), _annotated("files")], annotations={FILE: "one"}))
    ready = runner.wait(world.namespace, "p", "Ready")
    assert ready is not None
    assert ready["status"]["containerStatuses"][0]["state"].keys() == {"running"}
    logged = until(lambda: runner.logs(world.namespace, "p", "app"), "the container wrote")
    assert logged == "p@eu-west-1 $(POD) $(NOBODY)|hunter2|eu-west-1\n"
    assert _read(runner, world, "p", "/etc/apostille.dev/config") == "one"
    payload = _read(runner, world, "p", "/var/run/secrets/apostille.dev/s3/token").split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert claims["aud"] == [AUDIENCE]
    assert claims["sub"] == f"system:serviceaccount:{world.namespace}:reader"
    assert claims["kubernetes.io"]["pod"] == {"name": "p", "uid": ready["metadata"]["uid"]}
    assert claims["kubernetes.io"]["node"]["name"] == world.node


def test_the_node_may_ask_only_for_audiences_its_pods_declare(runner: PodRunner, world: Scene) -> None:
    world.create(pod("p", container("app", SLEEP, ("token", "/t")), volumes=[token_volume()]))
    ready = runner.wait(world.namespace, "p", "Ready")
    assert ready is not None
    reference = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": ready["metadata"]["uid"]}
    body = {"spec": {"audiences": ["https://other.example"], "boundObjectRef": reference}}
    with pytest.raises(ApiError, match="audience"):
        world.call("POST", world.core("serviceaccounts", "reader") + "/token", body, node=True)


def test_a_changed_annotation_reaches_the_running_container(runner: PodRunner, world: Scene) -> None:
    app = container("app", SLEEP, ("files", "/etc/apostille.dev"))
    world.create(pod("p", app, volumes=[_annotated("files")], annotations={FILE: "one"}))
    runner.wait(world.namespace, "p", "Ready")
    world.call("PATCH", world.core("pods", "p"), {"metadata": {"annotations": {FILE: "two"}}})
    until(lambda: _read(runner, world, "p", "/etc/apostille.dev/config") == "two", "the new content is there")


def test_a_job_with_a_sidecar_starts_in_order_and_ends(runner: PodRunner, world: Scene) -> None:
    term = "trap 'echo ended >>/shared/order; exit 0' TERM"
    side = container(
        "side",
        f"{term}; echo side >>/shared/order; sleep 0.3; touch /shared/up; while :; do sleep 0.05; done",
        ("shared", "/shared"),
        restartPolicy="Always",
        startupProbe={"exec": {"command": ["test", "-e", "/shared/up"]}, "periodSeconds": 1},
    )
    first = container("first", "echo first >>/shared/order", ("shared", "/shared"))
    last = container("last", "test -e /shared/up && echo last >>/shared/order", ("shared", "/shared"))
    app = container("app", "echo app >>/shared/order; cat /shared/order", ("shared", "/shared"))
    memory = {"name": "shared", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
    world.create(pod("p", app, initContainers=[first, side, last], volumes=[memory], restartPolicy="Never"))
    done = runner.wait(world.namespace, "p", "Succeeded")
    assert done is not None
    assert runner.logs(world.namespace, "p", "app").split() == ["first", "side", "last", "app"]
    told = done["status"]["initContainerStatuses"]
    assert [item["state"]["terminated"]["exitCode"] for item in told] == [0, 0, 0]
    assert {item["type"]: item["status"] for item in done["status"]["conditions"]}["Ready"] == "False"


def test_a_failing_sidecar_is_started_again_beside_the_container(runner: PodRunner, world: Scene) -> None:
    script = """
        echo run >>/shared/runs; test $(wc -l </shared/runs) -ge 3 || exit 1
        touch /shared/up; while ! test -e /shared/fail; do sleep 0.05; done; rm /shared/fail; exit 9"""
    side = container(
        "side",
        script,
        ("shared", "/shared"),
        restartPolicy="Always",
        startupProbe={"exec": {"command": ["test", "-e", "/shared/up"]}, "periodSeconds": 1},
    )
    app = container("app", "test -e /shared/up && echo up; " + SLEEP, ("shared", "/shared"))
    world.create(pod("p", app, initContainers=[side], volumes=[{"name": "shared", "emptyDir": {}}]))
    runner.wait(world.namespace, "p", "Ready")
    until(lambda: runner.logs(world.namespace, "p", "app") == "up\n", "the container began after the sidecar was up")
    assert _restarts(world.pod("p")) == 2

    runner.execute(world.namespace, "p", "app", ["touch", "/shared/fail"])
    again = runner.wait(world.namespace, "p", lambda found: _restarts(found) == 3 and is_ready(found))

    assert again is not None
    assert again["status"]["initContainerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 9
    assert again["status"]["containerStatuses"][0]["restartCount"] == 0


def test_a_failing_container_is_started_again_and_its_count_is_told(runner: PodRunner, world: Scene) -> None:
    script = "echo run >>/shared/runs; test $(wc -l </shared/runs) -ge 3"
    shared = {"name": "shared", "emptyDir": {}}
    app = container("app", script, ("shared", "/shared"))
    world.create(pod("p", app, volumes=[shared], restartPolicy="OnFailure"))
    done = runner.wait(world.namespace, "p", "Succeeded")
    assert done is not None
    told = done["status"]["containerStatuses"][0]
    assert (told["restartCount"], told["lastState"]["terminated"]["exitCode"]) == (2, 1)


def test_an_init_container_that_fails_for_good_fails_the_pod(runner: PodRunner, world: Scene) -> None:
    app = container("app", "echo never")
    world.create(pod("p", app, initContainers=[container("first", "exit 7")], restartPolicy="Never"))
    done = runner.wait(world.namespace, "p", "Failed")
    assert done is not None
    assert done["status"]["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 7
    assert runner.logs(world.namespace, "p", "app") == ""


def test_a_deleted_pod_gets_its_signal_then_goes(runner: PodRunner, world: Scene) -> None:
    polite = container("polite", "trap 'exit 0' TERM; while :; do sleep 0.05; done")
    stubborn = container("stubborn", "trap '' TERM; while :; do sleep 0.05; done")
    world.create(pod("p", polite, stubborn, terminationGracePeriodSeconds=3))
    runner.wait(world.namespace, "p", "Ready")
    world.call("DELETE", world.core("pods", "p"))

    def told(found: dict[str, Any] | None) -> bool:
        codes = {
            item["name"]: item["state"].get("terminated", {}).get("exitCode")
            for item in (found or {}).get("status", {}).get("containerStatuses", ())
        }
        return codes == {"polite": 0, "stubborn": None}

    runner.wait(world.namespace, "p", told)
    runner.wait(world.namespace, "p", "deleted")


def test_a_deleted_pods_sidecar_ends_after_its_containers(runner: PodRunner, world: Scene) -> None:
    app = container("app", "trap 'sleep 0.3; touch /m/ended; exit 0' TERM; while :; do sleep 0.05; done", ("m", "/m"))
    wait = "trap 'test -e /m/ended; exit' TERM; while :; do sleep 0.05; done"
    side = container("side", wait, ("m", "/m"), restartPolicy="Always")
    made = pod("p", app, initContainers=[side], volumes=[{"name": "m", "emptyDir": {}}])
    made["metadata"]["finalizers"] = ["test.example/read-it-first"]
    world.create(made)
    runner.wait(world.namespace, "p", "Ready")

    world.call("DELETE", world.core("pods", "p"))

    ended = runner.wait(world.namespace, "p", lambda found: (found or {})["status"]["phase"] in ("Succeeded", "Failed"))
    assert ended is not None
    codes = [
        ended["status"][kind][0]["state"]["terminated"]["exitCode"]
        for kind in ("containerStatuses", "initContainerStatuses")
    ]
    assert codes == [0, 0]
    world.call("PATCH", world.core("pods", "p"), {"metadata": {"finalizers": None}})
    runner.wait(world.namespace, "p", "deleted")


def test_an_image_that_is_not_known_is_not_run(world: Scene) -> None:
    with world.runner(images={"known:*": Image(entrypoint=["sh", "-c"], cmd=["echo by default"])}) as runner:
        world.create(pod("q", {"name": "app", "image": "known:1"}, restartPolicy="Never"))
        runner.wait(world.namespace, "q", "Succeeded")
        assert runner.logs(world.namespace, "q", "app") == "by default\n"

        world.create(pod("p", container("app", "true")))
        until(lambda: world.events("p", "Failed"), "the Event says so")
        told = world.pod("p")["status"]["containerStatuses"][0]["state"]["waiting"]
        assert told["reason"] == "ErrImagePull"


def test_a_refused_renewal_leaves_the_old_token_and_an_event(runner: PodRunner, world: Scene) -> None:
    app = container("app", SLEEP, ("token", "/t"), ("files", "/f"))
    world.create(pod("p", app, volumes=[token_volume(), _annotated("files")], annotations={FILE: "one"}))
    runner.wait(world.namespace, "p", "Ready")
    old = _read(runner, world, "p", "/t/token")
    assert runner.refresh_tokens(world.namespace, "p") == []
    renewed = _read(runner, world, "p", "/t/token")
    assert renewed != old
    denial = Denial(world, AUDIENCE)
    try:
        refused = runner.refresh_tokens(world.namespace, "p")
        assert len(refused) == 1
        assert 'MountVolume.SetUp failed for volume "token" : failed to fetch token' in refused[0]
        assert "no binding allows this audience" in refused[0]
        assert refused[0] in until(lambda: world.events("p", "FailedMount"), "the Event is written")
        assert _read(runner, world, "p", "/t/token") == renewed
        # Other volumes of the pod go on.
        world.call("PATCH", world.core("pods", "p"), {"metadata": {"annotations": {FILE: "two"}}})
        until(lambda: _read(runner, world, "p", "/f/config") == "two", "another volume is updated")
        assert world.pod("p")["status"]["containerStatuses"][0]["restartCount"] == 0
    finally:
        denial.lift()


def test_a_token_refused_before_the_start_keeps_the_pod_waiting(runner: PodRunner, world: Scene) -> None:
    denial = Denial(world, AUDIENCE)
    try:
        world.create(pod("p", container("app", SLEEP, ("token", "/t")), volumes=[token_volume()]))
        messages = until(lambda: world.events("p", "FailedMount"), "the Event is written")
        assert "no binding allows this audience" in messages[0]
        assert world.pod("p")["status"]["phase"] == "Pending"
        assert "running" not in world.pod("p")["status"].get("containerStatuses", [{"state": {}}])[0]["state"]
    finally:
        denial.lift()
    runner.wait(world.namespace, "p", "Ready")


def test_kubectl_logs_reads_a_container(runner: PodRunner, world: Scene) -> None:
    script = "test -e /shared/once && echo second && exec sleep 1000; touch /shared/once; echo first; exit 1"
    app = container("app", script, ("shared", "/shared"))
    world.create(pod("p", app, volumes=[{"name": "shared", "emptyDir": {}}]))
    runner.wait(world.namespace, "p", lambda found: _restarts(found) == 1 and is_ready(found))
    until(lambda: runner.logs(world.namespace, "p", "app"), "the second one wrote")

    shown = [
        world.control_plane.kubectl("logs", "-n", world.namespace, "p", *more).stdout
        for more in ([], ["--tail=0"], ["--previous"])
    ]

    assert shown == ["second\n", "", "first\n"]


@pytest.mark.e2e
def test_pods_outlive_their_api_server_and_follow_it_again(tmp_path: Path) -> None:
    with start() as own, scene(own, own.create_namespace("outage"), tmp_path) as world, world.runner() as runner:
        app = container("app", SLEEP, ("files", "/f"))
        world.create(pod("p", app, volumes=[_annotated("files")], annotations={FILE: "one"}))
        before = runner.wait(world.namespace, "p", "Ready")
        assert before is not None

        own.stop_apiserver(grace=0)
        assert _read(runner, world, "p", "/f/config") == "one"
        own.start_apiserver()
        world.call("PATCH", world.core("pods", "p"), {"metadata": {"annotations": {FILE: "two"}}})

        until(lambda: _read(runner, world, "p", "/f/config") == "two", "the new content is there")
        after = world.pod("p")
        assert _restarts(after) == 0
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        world.create(pod("q", container("app", "true"), restartPolicy="Never"))
        runner.wait(world.namespace, "q", "Succeeded")
