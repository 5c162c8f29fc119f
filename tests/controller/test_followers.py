"""Running pods are told what their bindings have become: those that carry a plan, once, and each on its own."""

from __future__ import annotations

import asyncio

import pytest

from api_double import ApiDouble
from apostille.controller.followers import Followers
from apostille.controller.state import State
from apostille.core.pod_plan import pod_plan
from apostille.core.pods import PodFacts, facts, parsed_plan
from apostille.kube.client import PODS, ApiError
from apostille.model.identity import ServiceAccount
from apostille.model.names import BINDING_PLURAL, TRUST_PLURAL
from apostille_exchange.recipe import Plan, dumps
from controller.declarations import ISSUER, OWN, binding, pod, trust
from jumping_loop import in_no_time

APP = ServiceAccount("a", "app")
SIDECAR = {"mode": "Sidecar"}


class Scene:
    def __init__(self, pods: int = 2) -> None:
        self.api, self.state = ApiDouble(), State(OWN)
        self.state.set_issuer(ISSUER, "")
        self.state.put(TRUST_PLURAL, trust("t", version=1))
        self.state.put(BINDING_PLURAL, binding(version=2, delivery=SIDECAR))
        self.followers = Followers(self.api, self.state)  # type: ignore[arg-type]
        for number in range(pods):
            self.run(f"p-{number}", self.plan())
        assert self.followers.behind() == [APP]

    def plan(self) -> str:
        (one,) = self.state.view().of_account[APP]
        assert one.trust is not None
        plan = pod_plan(one.trust.trust, one.binding)
        assert plan.live.recipe is not None
        return dumps(Plan({plan.binding: plan.frozen.digest}, {plan.binding: plan.live.recipe}))

    def run(self, name: str, plan: str = "") -> None:
        raw = pod("a", name, "app", plan=plan)
        self.api.put(PODS.path(name, namespace="a"), **raw)
        self.see(name)

    def see(self, name: str) -> None:
        """The watch tells of the pod as it is."""
        raw = {**self.api.objects[PODS.path(name, namespace="a")]}
        raw["metadata"] = {**raw["metadata"], "namespace": "a"}
        after = facts(raw)
        before = next((one for one in self.state.pods.of(APP) if one.name == name), None)
        self.state.pods.changed(("a", name), before, after)

    def end(self) -> None:
        self.state.put(BINDING_PLURAL, binding(version=3, generation=2, delivery=SIDECAR, suspended=True))

    def ended(self) -> list[bool]:
        """Of each pod that carries a plan."""
        carriers: list[PodFacts] = sorted(self.state.pods.carriers(APP), key=lambda one: one.name)
        return [all(recipe.ended for recipe in parsed_plan(one.plan).recipes.values()) for one in carriers]


@in_no_time
async def test_pods_of_a_binding_that_ends_are_told_and_told_once() -> None:
    scene = Scene()
    await scene.followers.reconcile(APP)
    assert scene.api.requests == []  # they are up to date
    scene.end()

    assert scene.followers.behind() == [APP]
    assert scene.followers.behind() == []
    await scene.followers.reconcile(APP)
    for name in ("p-0", "p-1"):
        scene.see(name)
    await scene.followers.reconcile(APP)

    assert scene.ended() == [True, True]
    assert [verb for verb, _ in scene.api.requests] == ["MERGE", "MERGE"]


@in_no_time
async def test_a_pod_without_a_plan_is_left_alone() -> None:
    scene = Scene()
    scene.run("bare")
    scene.end()
    scene.api.requests.clear()
    await scene.followers.reconcile(APP)

    assert not any("bare" in path for _, path in scene.api.requests)


@in_no_time
async def test_one_that_cannot_be_told_keeps_nobody_from_it() -> None:
    scene = Scene(pods=40)
    scene.end()

    def refuse(verb: str, path: str) -> None:
        if path.endswith("p-3"):
            raise ApiError(422, "Invalid", "too long")
        if path.endswith("p-4"):
            raise ApiError(404, "NotFound", "gone meanwhile")

    scene.api.fail = refuse
    with pytest.raises(ApiError, match="too long"):
        await scene.followers.reconcile(APP)
    for number in range(40):
        scene.see(f"p-{number}")

    assert scene.ended().count(True) == 38


@in_no_time
async def test_a_binding_that_begins_again_is_told_too() -> None:
    scene = Scene()
    scene.end()
    scene.followers.behind()
    await scene.followers.reconcile(APP)
    for name in ("p-0", "p-1"):
        scene.see(name)
    scene.state.put(BINDING_PLURAL, binding(version=5, generation=3, delivery=SIDECAR))

    assert scene.followers.behind() == [APP]
    await scene.followers.reconcile(APP)
    for name in ("p-0", "p-1"):
        scene.see(name)

    assert scene.ended() == [False, False]


@in_no_time
async def test_whose_pods_are_gone_is_forgotten() -> None:
    scene = Scene()
    for one in list(scene.state.pods.of(APP)):
        scene.state.pods.changed(("a", one.name), one, None)
    scene.end()

    assert scene.followers.behind() == []
    assert scene.followers._told == {}
    await asyncio.sleep(0)
