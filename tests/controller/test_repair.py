"""Pods are made anew where a binding asks for it: by eviction, one at a time, and what stands against it is said."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from api_double import ApiDouble
from apostille.controller.bindings import BindingReconciler
from apostille.controller.repair import APART, BLOCKED, PAUSE, Repairs
from apostille.controller.state import Key, State
from apostille.core.desired import InForce
from apostille.core.pod_plan import pod_plan
from apostille.core.pods import facts
from apostille.kube.client import PODS, ApiError
from apostille.kube.recorder import Recorder
from apostille.model.identity import ServiceAccount
from apostille.model.names import BINDING_PLURAL, PLAN_ANNOTATION, TRUST_PLURAL
from apostille_exchange.recipe import Plan, dumps
from controller.declarations import ISSUER, OWN, binding, pod, trust
from jumping_loop import in_no_time

APP = ServiceAccount("a", "app")
KEY = ("a", "b")


class Evicting(ApiDouble):
    """With what makes a new pod for one that was evicted, as a ReplicaSet does."""

    def __init__(self, scene: Scene) -> None:
        super().__init__()
        self.scene = scene
        self.evicted: list[Mapping[str, Any]] = []

    def now(self) -> datetime:
        return datetime(2026, 11, 24, 12, tzinfo=UTC)

    async def list_all(self, path: str, **parameters: str) -> tuple[list[dict[str, Any]], str]:
        assert parameters == {"fieldSelector": "spec.serviceAccountName=app"}
        return await super().list_all(path, **parameters)

    async def create(self, path: str, body: Mapping[str, Any], *, dry_run: bool = False) -> Any:
        if not path.endswith("/eviction"):
            return await super().create(path, body, dry_run=dry_run)
        await self._arrive("EVICT", path, body)
        self.evicted.append(body)
        self.scene.replace(str(body["metadata"]["name"]))
        return {}, []


class Scene:
    def __init__(self, pods: int = 2, **spec: Any) -> None:
        self.api, self.state = Evicting(self), State(OWN)
        self.state.set_issuer(ISSUER, "")
        self.state.put(TRUST_PLURAL, trust("t", version=1))
        self.state.put(BINDING_PLURAL, binding(version=2, **({"repair": "Recreate"} | spec)))
        made = self.state.desired()
        self.state.set_in_force(InForce(made, made, True))
        self.told: list[Key] = []
        bindings = BindingReconciler(self.state, None)  # type: ignore[arg-type]
        self.repairs = Repairs(
            self.api,  # type: ignore[arg-type]
            self.state,
            Recorder(self.api, "test"),  # type: ignore[arg-type]
            bindings.to_repair,
            self.told.append,
        )
        for number in range(pods):
            self.run(f"p-{number}")

    def plan(self) -> str:
        (one,) = self.state.view().of_account[APP]
        assert one.trust is not None
        plan = pod_plan(one.trust.trust, one.binding)
        return dumps(Plan({plan.binding: plan.frozen.digest}, {}))

    def run(self, name: str, plan: str = "", created: str = "2026-11-24T11:00:00Z") -> None:
        raw = pod("a", name, "app", plan=plan)
        raw["metadata"] |= {
            "uid": f"uid-{name}",
            "creationTimestamp": created,
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": "rs", "controller": True}
            ],
        }
        raw["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        self.api.put(PODS.path(name, namespace="a"), **raw)
        self.api.objects[PODS.path(name, namespace="a")]["metadata"]["creationTimestamp"] = created
        self.state.pods.changed(("a", name), None, facts(raw))

    def replace(self, name: str) -> None:
        before = next(one for one in self.state.pods.of(APP) if one.name == name)
        self.api.drop(PODS.path(name, namespace="a"))
        self.state.pods.changed(("a", name), before, None)
        self.run(f"{name}-new", self.plan(), "2026-11-24T12:00:00Z")

    async def step(self) -> float | None:
        wait = await self.repairs.reconcile(*KEY)
        await asyncio.sleep(wait or APART)
        return wait

    def events(self) -> list[tuple[str, str, str]]:
        return [
            (one["regarding"]["kind"], one["type"], one["reason"])
            for path, one in self.api.objects.items()
            if "/events/" in path
        ]


@in_no_time
async def test_one_pod_after_the_other_until_all_have_the_plan() -> None:
    scene = Scene(3)
    assert await scene.step() == PAUSE
    assert [one["deleteOptions"]["preconditions"]["uid"] for one in scene.api.evicted] == ["uid-p-0"]
    report = scene.repairs.report(KEY)
    assert report is not None
    assert (report.waiting, report.left) == (3, 0)
    while await scene.step() is not None:
        pass
    assert [one["metadata"]["name"] for one in scene.api.evicted] == ["p-0", "p-1", "p-2"]
    assert scene.repairs.report(KEY) is None
    assert scene.told[-1] == KEY
    assert scene.events() == [(kind, "Normal", "PodRecreated") for _ in range(3) for kind in
                              ("WorkloadBinding", "Pod")]  # fmt: skip
    assert all(
        one["metadata"]["annotations"][PLAN_ANNOTATION] == scene.plan()
        for path, one in scene.api.objects.items()
        if "/pods/" in path
    )


@in_no_time
async def test_nothing_is_asked_where_nothing_is_to_be_done() -> None:
    for scene in (Scene(repair="None"), Scene(suspended=True), Scene(0)):
        assert await scene.repairs.reconcile(*KEY) is None
        assert scene.api.requests == []
    unreachable = Scene()
    unreachable.state.set_in_force(InForce(unreachable.state.in_force.selection, unreachable.state.in_force.policies))
    assert await unreachable.repairs.reconcile(*KEY) is None
    assert unreachable.api.requests == []


@in_no_time
async def test_evictions_are_apart_whoever_wants_them() -> None:
    scene = Scene(2)
    await scene.repairs.reconcile(*KEY)
    asked = len(scene.api.requests)
    wait = await scene.repairs.reconcile(*KEY)
    assert wait is not None
    assert 0 < wait <= APART
    assert len(scene.api.requests) == asked


@in_no_time
async def test_a_disruption_budget_is_waited_for_and_told() -> None:
    scene = Scene(1)
    budget = "Cannot evict pod as it would violate the pod's disruption budget."

    def refuse(verb: str, path: str) -> None:
        if verb == "EVICT" and "/p-0/" in path:
            raise ApiError(429, "TooManyRequests", budget)

    scene.api.fail = refuse
    assert await scene.step() == PAUSE
    report = scene.repairs.report(KEY)
    assert report is not None
    assert report.waiting == 1
    assert report.message == f"pod p-0 may not go now: {budget}"
    for _ in range(int(BLOCKED / PAUSE) + 1):
        await scene.step()
    assert [verb for verb, _ in scene.api.requests].count("EVICT") == 2, "asked again after a while"
    assert scene.events() == [("WorkloadBinding", "Warning", "RepairBlocked")], "the same again only counts up"
    scene.api.fail = lambda verb, path: None
    await asyncio.sleep(BLOCKED)
    await scene.step()
    assert [one["metadata"]["name"] for one in scene.api.evicted] == ["p-0"]


@in_no_time
async def test_an_installation_that_does_not_allow_it_is_told_as_such() -> None:
    scene = Scene(1)

    def refuse(verb: str, path: str) -> None:
        if verb == "EVICT":
            raise ApiError(403, "Forbidden", "no")

    scene.api.fail = refuse
    assert await scene.step() == PAUSE
    report = scene.repairs.report(KEY)
    assert report is not None
    assert "controller.repair" in report.message
    assert scene.events() == [("WorkloadBinding", "Warning", "RepairForbidden")]


@in_no_time
async def test_a_pod_that_went_by_itself_is_no_eviction() -> None:
    scene = Scene(1)

    def gone(verb: str, path: str) -> None:
        if verb == "EVICT":
            raise ApiError(404, "NotFound", "no such pod")

    scene.api.fail = gone
    assert await scene.step() == PAUSE
    assert scene.events() == []
