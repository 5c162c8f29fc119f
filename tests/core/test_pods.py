"""What existing pods have, against what is planned."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import jsonpatch
import pytest

from apostille.core.inject import inject
from apostille.core.pod_plan import PodPlan
from apostille.core.pods import PodFacts, facts, follow, foreign_users, parsed_plan, projected_audiences, state
from apostille.core.settings import InjectionSettings
from apostille.model import names
from apostille_exchange.recipe import Recipe, loads
from builders import AUDIENCE, binding, pairs, plan, pod, role, sidecar, trust

WRITER = trust(allow=[{"namespace": "payments", "serviceAccounts": ["reader"], "targets": [role("writer")]}])
OTHER_ROLE = plan(sidecar("files", target={"aws": {"roleARN": role("writer")}}), WRITER)


def injected(*plans: PodPlan) -> PodFacts:
    raw = pod()
    found = facts(jsonpatch.apply_patch(deepcopy(raw), list(inject(raw, plans, InjectionSettings()).operations)))
    assert found is not None
    return found


def projecting(*audiences: str | None, **changed: Any) -> dict[str, Any]:
    sources = [{"serviceAccountToken": {"path": "t"} | ({"audience": a} if a is not None else {})} for a in audiences]
    return pod(volumes=[{"name": "t", "projected": {"sources": [{"configMap": {"name": "ca"}}, *sources]}}], **changed)


def test_a_windows_pod_is_told_apart() -> None:
    linux, windows = facts(pod()), facts(pod(os={"name": "windows"}))
    assert linux is not None
    assert windows is not None
    assert (linux.windows, windows.windows) == (False, True)


def test_pods_that_are_over_or_going_count_for_nothing() -> None:
    assert facts(pod()) is not None
    assert facts(pod() | {"status": {"phase": "Succeeded"}}) is None
    assert facts(pod() | {"status": {"phase": "Failed"}}) is None
    assert facts(pod() | {"status": {"phase": "Running"}}) is not None
    going = pod()
    going["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    assert facts(going) is None


def test_what_is_kept_of_a_pod() -> None:
    found = injected(plan(binding("s3")))
    assert (found.namespace, found.name, found.account) == ("payments", "web-0", pairs("payments/reader")[0])
    assert found.audiences == (AUDIENCE,)
    nobody = pod()
    del nobody["spec"]["serviceAccountName"]
    kept = facts(nobody)
    assert kept is not None
    assert kept.account.name == "default"


def test_projected_audiences() -> None:
    assert projected_audiences(projecting("b", "a", "b")["spec"]) == ("a", "b")
    assert projected_audiences(projecting(None, "")["spec"]) == (), "the API server's own"
    assert projected_audiences({"volumes": [{"name": "x", "emptyDir": {}}, {"name": "y", "projected": {}}]}) == ()
    assert projected_audiences({}) == ()


def test_state() -> None:
    want = plan(sidecar("files"))
    assert state(injected(want), want) == "injected"
    assert state(injected(), want) == "missing"
    assert state(injected(plan(binding("s3"))), want) == "missing"
    assert state(injected(plan(sidecar("files", token={"expirationSeconds": 900}))), want) == "stale"
    assert state(injected(OTHER_ROLE), want) == "injected", "a sidecar takes over another role without a restart"


@pytest.mark.parametrize(
    "text", ["", "no json", "{}", "[]", '{"format": 2, "bindings": {}}', '{"format": 1, "bindings": []}']
)
def test_an_unreadable_plan_counts_as_none(text: str) -> None:
    assert parsed_plan(text).digests == {}
    odd = PodFacts("payments", "web-0", pairs("payments/reader")[0], (), text, {})
    assert state(odd, plan(binding("s3"))) == "missing"
    assert follow(odd, [plan(binding("s3"))]) == {}


def recipes(pod_facts: PodFacts, *plans: PodPlan) -> dict[str, Recipe]:
    """The recipes that the pod carries after following."""
    changed = follow(pod_facts, plans).get(names.PLAN_ANNOTATION, pod_facts.plan)
    assert changed is not None
    return dict(loads(changed).recipes)


def test_a_pod_that_has_what_it_should_is_left_alone() -> None:
    for plans in ([plan(sidecar("files"))], [plan(binding("s3"))], [plan(binding("s3")), plan(sidecar("files"))], []):
        assert follow(injected(*plans), plans) == {}


def test_a_pod_follows_its_binding_to_the_end_and_back() -> None:
    live = plan(sidecar("files"))
    before = injected(live)
    changes = follow(before, [])
    assert list(changes) == [names.PLAN_ANNOTATION]
    ended = PodFacts(
        before.namespace, before.name, before.account, before.audiences, changes[names.PLAN_ANNOTATION] or "", {}
    )
    assert loads(ended.plan).recipes == {"files": Recipe("files", ended=True)}
    assert loads(ended.plan).digests == loads(before.plan).digests, "digests speak of the pod's spec, which stays"
    assert follow(ended, []) == {}
    assert follow(ended, [live]) == {names.PLAN_ANNOTATION: before.plan}


def test_a_pod_follows_to_another_role_but_not_to_another_binding() -> None:
    before = injected(plan(sidecar("files")))
    assert recipes(before, OTHER_ROLE)["files"].parameters["roleARN"] == role("writer")
    added = recipes(before, plan(sidecar("files")), plan(sidecar("late")))
    assert list(added) == ["files"], "the pod's spec has nothing for a binding that came later"
    only_late = recipes(before, plan(sidecar("late")))
    assert only_late == {"files": Recipe("files", ended=True)}


def test_a_binding_that_changed_its_delivery_ends_in_running_sidecars() -> None:
    assert recipes(injected(plan(sidecar("files"))), plan(binding("files"))) == {"files": Recipe("files", ended=True)}


def test_an_sdk_pod_has_nothing_to_follow() -> None:
    assert follow(injected(plan(binding("s3"))), []) == {}


def with_file(text: str) -> PodPlan:
    made = plan(binding("s3"))
    return PodPlan(made.binding, made.frozen, type(made.live)({"config.json": text}, made.live.recipe))


def test_public_files_follow_where_the_pod_has_them() -> None:
    before = injected(with_file("1"))
    assert follow(before, [with_file("2")]) == {"files.apostille.dev/s3.config.json": "2"}
    assert follow(injected(plan(binding("s3"))), [with_file("2")]) == {}, "no volume shows it"


def test_foreign_users() -> None:
    ours, mine = injected(plan(binding("s3"))), facts(projecting(AUDIENCE))
    assert mine is not None
    elsewhere = projecting(AUDIENCE, "other")
    elsewhere["metadata"]["namespace"] = "legacy"
    system = deepcopy(elsewhere)
    system["metadata"]["namespace"] = "kube-system"
    pods = [ours, mine, *(found for raw in (elsewhere, elsewhere, system) if (found := facts(raw)) is not None)]
    reader = pairs("payments/reader")
    assert foreign_users(pods, AUDIENCE, reader, ["kube-system"]) == {"legacy": 2}
    assert foreign_users(pods, AUDIENCE, [], []) == {"kube-system": 1, "legacy": 2, "payments": 1}
    assert foreign_users(pods, "https://nobody.example", [], []) == {}
    assert foreign_users([ours], AUDIENCE, [], []) == {}, "what an ended binding left is not foreign"
