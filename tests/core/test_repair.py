"""Which pod is made anew next: one at a time, none that nobody would make again, and every other in the end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apostille.core import pod_parts
from apostille.core.desired import InForce, desired
from apostille.core.repair import PATIENCE, Choice, Tried, choose, eviction, noted, owner
from apostille.core.status import binding_status, to_repair
from apostille.kinds.status import PodCounts, RepairStatus
from apostille.model import names
from apostille.model.conditions import find
from builders import binding, plan, trust, world
from properties import examples

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
PLAN = plan(binding())
CURRENT = pod_parts.plan_text([PLAN])
STALE = pod_parts.plan_text([plan(binding(token={"expirationSeconds": 1200}))])
OWN = "apostille-system"


def pod(name: str = "web-0", carries: str = "", of: str = "web", **more: Any) -> dict[str, Any]:
    """A ready pod of a ReplicaSet, an hour old."""
    kind, api = more.pop("kind", "ReplicaSet"), more.pop("api", "apps/v1")
    created = more.pop("created", NOW - timedelta(hours=1))
    reference = {"apiVersion": api, "kind": kind, "name": of, "uid": f"uid-{of}", "controller": True}
    metadata: dict[str, Any] = {
        "name": name, "namespace": more.pop("namespace", "payments"), "uid": f"uid-{name}",
        "creationTimestamp": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "ownerReferences": [reference] if of else [],
        "annotations": {names.PLAN_ANNOTATION: carries} if carries else {},
    }  # fmt: skip
    if more.pop("going", False):
        metadata["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    ready = "True" if more.pop("ready", True) else "False"
    metadata["annotations"] |= more.pop("annotations", {})
    spec = {"serviceAccountName": "reader", **more}
    return {"metadata": metadata, "spec": spec, "status": {"phase": "Running", "conditions": [
        {"type": "Ready", "status": ready},
    ]}}  # fmt: skip


def choice(*pods: dict[str, Any], tried: dict[str, Tried] | None = None, now: datetime = NOW) -> Choice:
    return choose(pods, PLAN, tried or {}, OWN, now)


def name_of(made: Choice) -> str:
    return str(made.evict["metadata"]["name"]) if made.evict is not None else ""


def test_what_lacks_the_plan_goes_and_what_has_it_stays() -> None:
    made = choice(pod("old", STALE), pod("good", CURRENT))
    assert (name_of(made), made.waiting, made.left) == ("old", 1, {})
    assert name_of(choice(pod("bare"))) == "bare"
    assert choice(pod("good", CURRENT)) == Choice(None, 0, "", {})


def test_what_does_not_run_anyway_goes_first_then_the_oldest() -> None:
    older = pod("older", created=NOW - timedelta(hours=2))
    assert name_of(choice(pod("web-0"), older)) == "older"
    assert name_of(choice(older, pod("web-0", ready=False))) == "web-0"


@pytest.mark.parametrize(
    "other",
    [
        pod("going", CURRENT, going=True),
        pod("going", STALE, going=True),
        pod("starting", CURRENT, ready=False),
    ],
)
def test_no_pod_goes_while_another_of_its_owner_is_not_there(other: dict[str, Any]) -> None:
    made = choice(pod("old", STALE), other)
    assert (made.evict, made.waiting) == (None, 1)
    assert made.why.startswith("ReplicaSet web: ")
    # Of another owner one may go meanwhile.
    assert name_of(choice(pod("old", STALE), other, pod("api-0", of="api"))) == "api-0"


def test_an_owner_that_is_blocked_has_others_go_first() -> None:
    blocked = {"uid-api": "not now"}
    pods = (pod("api-0", of="api"), pod("web-0"))
    assert name_of(choose(pods, PLAN, {}, OWN, NOW, blocked)) == "web-0"
    assert choose(pods[:1], PLAN, {}, OWN, NOW, blocked) == Choice(None, 1, "ReplicaSet api: not now", {})


@pytest.mark.parametrize(
    "alone",
    [
        pod(of=""),
        pod(kind="Job", api="batch/v1"),
        pod(kind="Node", api="v1"),
        pod(kind="ReplicaSet", api="example.com/v1"),
        pod(kind="TaskRun", api="tekton.dev/v1"),
        pod(annotations={"kubernetes.io/config.mirror": "x"}),
        *(pod(namespace=namespace) for namespace in (*names.SYSTEM_NAMESPACES, OWN)),
    ],
)
def test_what_nobody_makes_again_is_left_alone(alone: dict[str, Any]) -> None:
    made = choice(alone)
    assert (made.evict, made.waiting, sum(made.left.values())) == (None, 0, 1)


def test_an_owner_that_is_not_the_controller_is_none() -> None:
    held = pod()
    held["metadata"]["ownerReferences"][0]["controller"] = False
    assert owner(held) == ("", "")
    assert owner(pod()) == ("uid-web", "ReplicaSet web")


def test_windows_pods_and_pods_that_are_over_are_nobodys_business() -> None:
    over = pod("over")
    over["status"]["phase"] = "Succeeded"
    assert choice(pod(os={"name": "windows"}), over) == Choice(None, 0, "", {})


def test_where_the_next_pod_lacks_it_too_nothing_more_is_done_until_the_plan_changes() -> None:
    tried = noted(pod("old"), [pod("old"), pod("older")], PLAN, {}, NOW)
    again = pod("new", created=NOW + timedelta(seconds=3))
    made = choice(again, pod("older"), tried=tried, now=NOW + timedelta(minutes=1))
    assert (made.evict, made.waiting) == (None, 0)
    assert list(made.left.values()) == [2]
    other = plan(binding(token={"expirationSeconds": 1800}))
    assert choose([again], other, tried, OWN, NOW + timedelta(hours=1)).evict is again


def test_the_next_pod_is_waited_for_and_not_for_ever() -> None:
    pods = [pod("a"), pod("b"), pod("c")]
    tried = noted(pods[0], pods, PLAN, {}, NOW)
    assert tried["uid-web"].pods == 3
    soon, late = NOW + timedelta(seconds=20), NOW + PATIENCE
    assert choice(*pods[1:], tried=tried, now=soon).why == "ReplicaSet web: the next pod is not there yet"
    assert name_of(choice(*pods[1:], pod("d", CURRENT), tried=tried, now=soon)) == "b"
    assert name_of(choice(*pods[1:], tried=tried, now=late)) == "b"


def test_the_eviction_is_of_this_very_pod() -> None:
    assert eviction(pod("web-0")) == {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": "web-0", "namespace": "payments"},
        "deleteOptions": {"preconditions": {"uid": "uid-web-0"}},
    }


WORKLOADS = st.lists(
    st.tuples(
        st.sampled_from(["ReplicaSet", "StatefulSet", "DaemonSet", "Job"]),
        st.lists(st.sampled_from(["", STALE, CURRENT]), min_size=1, max_size=5),
        st.booleans(),
    ),
    min_size=1, max_size=4,
)  # fmt: skip


@examples(60)
@given(WORKLOADS, st.integers(0, 3))
def test_every_workload_ends_with_the_plan_and_never_has_two_pods_away(
    workloads: list[tuple[str, list[str], bool]], slowness: int
) -> None:
    """A cluster that makes pods anew, some of it so that they lack the plan again (the third of each workload)."""
    pods: dict[str, dict[str, Any]] = {}
    for number, (kind, carried, _) in enumerate(workloads):
        api = "batch/v1" if kind == "Job" else "apps/v1"
        for i, text in enumerate(carried):
            name = f"w{number}-{i}"
            pods[name] = pod(name, text, of=f"w{number}", kind=kind, api=api)
    evicted: list[str] = []
    tried: dict[str, Tried] = {}
    now, idle = NOW, 0
    starting: dict[str, int] = {}
    while idle <= slowness + 2:
        now += timedelta(seconds=10)
        for name, left in list(starting.items()):
            starting[name] = left - 1
            if left <= 0:
                pods[name]["status"]["conditions"][0]["status"] = "True"
                del starting[name]
        made = choose(pods.values(), PLAN, tried, OWN, now)
        if made.evict is None:
            idle += 1
            continue
        idle = 0
        name = made.evict["metadata"]["name"]
        number = int(name[1 : name.index("-")])
        assert not any(one.startswith(f"w{number}-") for one in starting), "one pod at a time"
        assert workloads[number][0] != "Job"
        evicted.append(name)
        tried = noted(made.evict, pods.values(), PLAN, tried, now)
        gone = pods.pop(name)
        next_name = f"{name}x"
        text = "" if workloads[number][2] else CURRENT
        kind = workloads[number][0]
        pods[next_name] = pod(next_name, text, of=f"w{number}", kind=kind, created=now, ready=False)
        starting[next_name] = slowness
        assert gone["metadata"]["annotations"].get(names.PLAN_ANNOTATION) != CURRENT, "a good pod stays"
    assert len(evicted) == len(set(evicted)), "no pod twice"
    for number, (kind, carried, stubborn) in enumerate(workloads):
        mine = [one for name, one in pods.items() if name.startswith(f"w{number}-")]
        lacking = [one for one in mine if one["metadata"]["annotations"].get(names.PLAN_ANNOTATION) != CURRENT]
        went = [name for name in evicted if name.startswith(f"w{number}-")]
        assert len(mine) == len(carried)
        if kind == "Job":
            assert went == []
        elif stubborn:
            assert len(went) <= 1
        else:
            assert lacking == []
            assert len(went) == sum(text != CURRENT for text in carried)


LACKING = PodCounts(matched=3, injected=1, stale=1, missing=1)


@pytest.mark.parametrize(
    ("spec", "counts", "changed", "expected"),
    [
        ({"repair": "Recreate"}, LACKING, {}, True),
        ({}, LACKING, {}, False),
        ({"repair": "Recreate"}, PodCounts(3, 3, 0, 0), {}, False),
        # The next pod would not be injected, or not be created at all.
        ({"repair": "Recreate"}, LACKING, {"reachable": False}, False),
        ({"repair": "Recreate"}, LACKING, {"selection": InForce().selection}, False),
        ({"repair": "Recreate", "suspended": True}, LACKING, {}, False),
    ],
)
def test_pods_are_made_anew_only_where_the_next_is_certain_to_be_injected(
    spec: dict[str, Any], counts: PodCounts, changed: dict[str, Any], expected: bool
) -> None:
    judged = world([trust()], [binding(**spec)])
    made = desired(judged, {})
    in_force = replace(InForce(made, made, True), **changed)
    assert to_repair(judged.bindings[0], counts, in_force) is expected


def test_the_status_says_how_far_it_is_instead_of_asking_for_a_restart() -> None:
    judged = world([trust()], [binding(repair="Recreate")])
    made = desired(judged, {})
    report = RepairStatus(1, 1, "1 left alone: nobody makes another of them")
    status = binding_status(judged.bindings[0], LACKING, InForce(made, made, True), NOW, report)
    assert status.repair == report
    ready = find([{"type": c.type, "reason": c.reason, "message": c.message} for c in status.conditions], "Ready")
    assert ready["reason"] == "PodsMissing"
    assert "1 of them are made anew one by one; 1 left alone" in ready["message"]
    assert "rollout restart" not in ready["message"]
    plain = binding_status(judged.bindings[0], LACKING, InForce(made, made, True), NOW)
    assert any("rollout restart" in condition.message for condition in plain.conditions)
