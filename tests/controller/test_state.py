"""What the controller knows: never older than what it knew, and no more work than has changed."""

from __future__ import annotations

import random
from typing import Any

import pytest

from apostille.controller.state import State
from apostille.core.desired import Desired, InForce
from apostille.core.grants import Grant
from apostille.core.pods import facts
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.identity import ServiceAccount
from apostille.model.names import BINDING_PLURAL, TRUST_PLURAL
from controller.declarations import ISSUER, OWN, binding, pod, trust

APP = ServiceAccount("a", "app")


def state() -> State:
    made = State(OWN)
    made.set_issuer(ISSUER, "")
    return made


def declared(*bindings: dict[str, Any]) -> State:
    made = state()
    made.put(TRUST_PLURAL, trust())
    for raw in bindings or [binding()]:
        made.put(BINDING_PLURAL, raw)
    return made


@pytest.mark.parametrize("mode", ["Enforce", "Audit"])
@pytest.mark.parametrize("unread", ["trust", "binding"])
def test_pods_of_what_cannot_be_read_are_asked_about_where_it_enforces(unread: str, mode: str) -> None:
    made, wrong = state(), {"labels": "none", "suspended": "no"}
    made.put(TRUST_PLURAL, trust(enforcement={"mode": mode}, **(wrong if unread == "trust" else {})))
    made.put(BINDING_PLURAL, binding(**(wrong if unread == "binding" else {})))
    made.put(BINDING_PLURAL, binding("system", namespace="kube-system", **(wrong if unread == "binding" else {})))

    assert made.desired().grants == frozenset()
    assert made.desired().bound == ({APP} if mode == "Enforce" else set())

    made.put(BINDING_PLURAL, binding(version=2, generation=2, suspended=True))
    made.put(TRUST_PLURAL, trust(version=2, generation=2, enforcement={"mode": mode}))
    assert made.desired().bound == frozenset()


def test_bindings_are_told_of_a_trust_that_cannot_be_read_and_of_its_return() -> None:
    made = declared()
    made.put(TRUST_PLURAL, trust(version=2, generation=2, suspended="no"))
    assert made.view().bindings["a", "b"].trust_error.startswith("spec.suspended")

    made.put(TRUST_PLURAL, trust(version=3, generation=3))
    assert (made.view().bindings["a", "b"].trust_error, made.view().bindings["a", "b"].live) == ("", True)


def test_a_status_or_a_label_changes_nothing() -> None:
    made = declared()
    view = made.view()
    labelled = binding(version=2)
    labelled["metadata"]["labels"] = {"a": "b"}

    assert not made.put(BINDING_PLURAL, {**binding(version=3), "status": {"phase": "Live"}})
    assert not made.put(BINDING_PLURAL, {**labelled, "metadata": {**labelled["metadata"], "resourceVersion": "4"}})
    assert made.view() is view
    assert made.bindings["a", "b"].raw_status == {}


def test_what_is_older_than_what_is_known_is_not_taken_over() -> None:
    """A list that was asked for before an event may arrive after it."""
    made = declared(binding(version=10, suspended=True, generation=2))

    assert not made.put(BINDING_PLURAL, binding(version=9))
    assert made.bindings["a", "b"].spec.suspended


def test_what_is_gone_does_not_come_back_from_an_older_list() -> None:
    made = declared(binding(version=10))
    assert made.drop(BINDING_PLURAL, "a", "b", 12)

    assert not made.put(BINDING_PLURAL, binding(version=10))
    assert made.bindings == {}
    assert made.put(BINDING_PLURAL, binding(version=13))  # one that was made anew does


def test_the_end_of_the_one_before_does_not_end_the_one_made_anew() -> None:
    made = declared(binding(version=20))

    assert not made.drop(BINDING_PLURAL, "a", "b", 15)
    assert ("a", "b") in made.bindings


def test_a_list_misses_only_what_it_is_newer_than() -> None:
    made = declared(binding("old", version=10), binding("new", version=30))

    assert made.absent(BINDING_PLURAL, {}, 20) == [(("a", "old"), 10)]
    assert made.absent(BINDING_PLURAL, {("a", "old")}, 20) == []
    # The kind itself is gone, and everything with it.
    assert {key for key, _ in made.absent(BINDING_PLURAL, {}, None) or ()} == {("a", "old"), ("a", "new")}
    # One that was asked for earlier and came later says nothing.
    assert made.absent(BINDING_PLURAL, {}, 19) is None


def test_what_is_going_counts_as_gone() -> None:
    made = declared()
    going = binding(version=2)
    going["metadata"]["deletionTimestamp"] = "2027-01-01T00:00:00Z"

    assert made.put(BINDING_PLURAL, going)
    assert made.desired().bound == frozenset()


def test_what_is_remembered_of_the_gone_is_forgotten_with_the_next_list() -> None:
    made = declared()
    for number in range(100):
        made.put(BINDING_PLURAL, binding(f"b{number}", version=100 + number))
        made.drop(BINDING_PLURAL, "a", f"b{number}", 300 + number)

    made.absent(BINDING_PLURAL, {("a", "b")}, 1000)

    assert made._gone == {}


@pytest.mark.parametrize("seed", range(20))
def test_however_lists_and_events_are_mixed_the_newest_holds(seed: int) -> None:
    """Events come in order; each list shows some moment and arrives at some later one."""
    chance = random.Random(seed)  # noqa: S311 - repeatable
    made, truth = state(), dict[str, dict[str, Any]]()
    moments: list[tuple[int, dict[str, dict[str, Any]]]] = []
    for version in range(1, 301):
        name = chance.choice("abcd")
        if name in truth and chance.random() < 0.4:
            del truth[name]
            made.drop(BINDING_PLURAL, "a", name, version)
        else:
            raw = binding(name, version=version, generation=version, suspended=chance.random() < 0.5)
            raw["metadata"]["uid"] = truth[name]["metadata"]["uid"] if name in truth else f"{name}{version}"
            truth[name] = raw
            made.put(BINDING_PLURAL, raw)
        moments.append((version, dict(truth)))
        if chance.random() < 0.3:
            at, listed = chance.choice(moments[-5:])
            absent = made.absent(BINDING_PLURAL, {("a", one) for one in listed}, at)
            for key, known in absent or ():
                made.drop(BINDING_PLURAL, *key, known)
            for raw in listed.values() if absent is not None else ():
                made.put(BINDING_PLURAL, raw)
        assert {name: one.generation for (_, name), one in made.bindings.items()} == {
            name: raw["metadata"]["generation"] for name, raw in truth.items()
        }


def test_the_view_answers_by_trust_by_account_and_by_audience() -> None:
    made = declared(binding("b"), binding("c", account="other"), binding("d", of="missing"))
    view = made.view()

    assert [one.binding.name for one in view.of_trust["t"]] == ["b", "c"]
    assert [one.binding.name for one in view.of_account[APP]] == ["b"]  # c is not allowed, d has no trust
    assert set(view.naming[APP]) == {("a", "b"), ("a", "d")}
    assert view.granted == {"https://t.sts.example": frozenset({APP})}


def test_foreign_users_are_pods_without_a_plan() -> None:
    made = declared()
    made.put(TRUST_PLURAL, trust("u", ("a", "app")))
    audience = "https://t.sts.example"
    for raw in (
        pod("x", "foreign", "sa", audience),
        pod("x", "other-audience", "sa", "https://other.example"),
        pod("x", "ours", "sa", audience, plan="{}"),
        pod("a", "declared", "app", audience),
        pod("kube-system", "system", "sa", audience),
    ):
        made.pods.changed((raw["metadata"]["namespace"], raw["metadata"]["name"]), None, facts(raw))

    assert made.foreign("t") == {"x": 1}
    assert made.foreign("u") == {}
    assert made.desired().protections[0].spared == ("x",)


def test_what_follows_is_worked_out_once() -> None:
    made = declared()
    wanted = made.desired()
    assert made.desired() is wanted

    injected = facts(pod("a", "p", "app", "https://t.sts.example", plan="{}"))
    made.pods.changed(("a", "p"), None, injected)
    assert made.desired() is wanted  # a pod of our own making decides nothing

    made.pods.changed(("x", "p"), None, facts(pod("x", "p", "sa", "https://t.sts.example")))
    assert made.desired() != wanted


def test_what_is_in_force_is_cut_down_to_a_binding() -> None:
    made = declared()
    mine, other = Grant(APP, "https://t.sts.example", 3600), Grant(ServiceAccount("z", "z"), "https://t", 3600)
    made.set_in_force(InForce(policies=Desired(grants=frozenset({mine, other})), reachable=True))
    known = made.bindings["a", "b"]
    assert isinstance(known, WorkloadBinding)

    cut = made.in_force_for(known)

    assert cut.policies.grants == {mine}
    assert cut.reachable


def test_time_alone_changes_the_view() -> None:
    soon = {"notBefore": "2000-01-01T00:00:00Z", "notAfter": "2000-01-02T00:00:00Z"}
    made = declared(binding(validity=soon))
    assert made.desired().bound == frozenset()
    assert made.view().next_change is None
