"""Grants as literals in policies: complete, sharded without gap or overlap, the probe last."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apostille.core import grants as made
from apostille.core.grants import Grant, Protection, expected_warning, policies
from apostille.model.identity import ServiceAccount
from builders import SETTINGS
from properties import examples

AUDIENCE, OTHER = "https://a.sts.example", "https://b.sts.example"
LIMIT = 100_000

Document = dict[str, Any]


def grant(namespace: str, name: str = "reader", audience: str = AUDIENCE, seconds: int = 3600) -> Grant:
    return Grant(ServiceAccount(namespace, name), audience, seconds)


def of_kind(documents: list[Document], prefix: str) -> list[Document]:
    return [
        d
        for d in documents
        if d["kind"] == "ValidatingAdmissionPolicy" and d["metadata"]["name"].startswith(f"apostille-{prefix}")
    ]


def variable(policy: Document, name: str) -> Any:
    """A variable whose expression is a literal that JSON reads too."""
    (text,) = [v["expression"] for v in policy["spec"]["variables"] if v["name"] == name]
    return {} if text == "{'': 0}" else json.loads(text)


def bounds(policy: Document) -> tuple[str, str]:
    """The half-open range of namespaces of a shard; empty is open."""
    found = {c["name"]: c["expression"] for c in policy["spec"]["matchConditions"]}
    return tuple(json.loads(found[name].split(" ")[-1]) if name in found else "" for name in ("from", "before"))  # type: ignore[return-value]


def test_nothing_protected_leaves_only_the_probe() -> None:
    documents = policies([], [grant("a")], SETTINGS)
    assert [d["metadata"]["name"] for d in documents] == ["apostille-probe", "apostille-probe"]


@pytest.mark.parametrize(
    ("mode", "actions"), [("Audit", ["Audit"]), ("Warn", ["Warn", "Audit"]), ("Enforce", ["Deny"])]
)
def test_the_mode_is_what_the_binding_does(mode: Any, actions: list[str]) -> None:
    documents = policies([Protection(AUDIENCE, mode)], [grant("a")], SETTINGS)
    bindings = [d for d in documents if d["kind"] == "ValidatingAdmissionPolicyBinding"]
    by_name = {d["metadata"]["name"]: d["spec"]["validationActions"] for d in bindings}
    low = mode.lower()
    assert by_name == {
        f"apostille-tokens-{low}-0": actions,
        f"apostille-pods-{low}-0": actions,
        "apostille-debug": ["Deny"],
        "apostille-probe": ["Warn"],
    }


def test_a_binding_is_written_before_its_policy_and_the_probe_last() -> None:
    documents = policies([Protection(AUDIENCE, "Enforce")], [grant("a")], SETTINGS)
    for first, second in zip(documents[::2], documents[1::2], strict=True):
        assert first["kind"] == "ValidatingAdmissionPolicyBinding"
        assert second["kind"] == "ValidatingAdmissionPolicy"
        assert first["metadata"]["name"] == second["metadata"]["name"] == first["spec"]["policyName"]
    assert documents[-1]["metadata"]["name"] == "apostille-probe"


def test_the_probe_tells_any_change() -> None:
    def told(*grants: Grant, mode: Any = "Enforce") -> str:
        return expected_warning(policies([Protection(AUDIENCE, mode)], grants, SETTINGS))

    every = {told(), told(grant("a")), told(grant("b")), told(grant("a", seconds=900)), told(grant("a"), mode="Warn")}
    assert len(every) == 5
    assert told(grant("a"), grant("b")) == told(grant("b"), grant("a"))


def test_grants_stand_under_their_audiences_mode_only() -> None:
    protections = [Protection(AUDIENCE, "Enforce", ("legacy",)), Protection(OTHER, "Audit")]
    documents = policies(
        protections, [grant("a"), grant("a", audience=OTHER), grant("a", audience="https://c")], SETTINGS
    )
    (enforced,), (audited,) = of_kind(documents, "tokens-enforce"), of_kind(documents, "tokens-audit")
    assert variable(enforced, "grants") == {f"a/reader/{AUDIENCE}": 3600}
    assert variable(audited, "grants") == {f"a/reader/{OTHER}": 3600}
    assert variable(enforced, "guarded") == [AUDIENCE]
    assert variable(enforced, "spared") == [f"legacy {AUDIENCE}"]
    assert variable(audited, "spared") == []


def test_system_namespaces_are_left_alone() -> None:
    for policy in policies([Protection(AUDIENCE, "Enforce")], [], SETTINGS):
        if policy["kind"] == "ValidatingAdmissionPolicy" and policy["metadata"]["name"] != "apostille-probe":
            first = policy["spec"]["matchConditions"][0]["expression"]
            assert (
                first == '!(request.namespace in ["kube-system", "kube-public", "kube-node-lease", "apostille-system"])'
            )


def test_a_namespace_with_a_policy_ends_nowhere_between_two_shards() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made, "SHARD_CODE_POINTS", 100)
        documents = policies([Protection(AUDIENCE, "Enforce")], [grant("a", f"sa-{i}") for i in range(20)], SETTINGS)
    assert len(of_kind(documents, "tokens-enforce")) == 1, "cuts are between namespaces, never inside of one"


names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,12}[a-z0-9])?", fullmatch=True)
some = st.sets(
    st.builds(grant, names, names, st.sampled_from([AUDIENCE, OTHER]), st.sampled_from([600, 3600])), max_size=25
)


@examples(80)
@given(some, names, st.integers(60, 400))
def test_every_namespace_is_in_one_shard_and_every_grant_with_it(grants: set[Grant], anywhere: str, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made, "SHARD_CODE_POINTS", size)
        documents = policies([Protection(AUDIENCE, "Enforce"), Protection(OTHER, "Enforce")], grants, SETTINGS)
    tokens, pods = of_kind(documents, "tokens-"), of_kind(documents, "pods-")
    ranges = [bounds(policy) for policy in tokens]
    assert ranges[0][0] == "" == ranges[-1][1], "open at both ends: a namespace without grants is covered too"
    assert all(left[1] == right[0] != "" for left, right in pairwise(ranges)), "no gap, no overlap"
    assert [bounds(policy) for policy in pods] == ranges
    covering = [low for low, high in ranges if low <= anywhere and (not high or anywhere < high)]
    assert len(covering) == 1
    for policy, (low, high) in zip(tokens, ranges, strict=True):
        mine = {
            g.key: g.seconds for g in grants if low <= g.account.namespace and (not high or g.account.namespace < high)
        }
        # One service account and audience may be granted once only; the generated set may say two lifetimes.
        assert variable(policy, "grants").keys() == mine.keys()
    assert sum(len(variable(policy, "grants")) for policy in tokens) == len({g.key for g in grants})
    assert [variable(policy, "grants") for policy in pods] == [variable(policy, "grants") for policy in tokens]


@pytest.mark.parametrize("namespaces", [50, 1000, 20_000])
def test_twenty_thousand_grants_stay_under_the_api_servers_limit(namespaces: int) -> None:
    many = [grant(f"{i % namespaces:05}".rjust(40, "n"), f"{i:06}".rjust(24, "s")) for i in range(20_000)]
    documents = policies([Protection(AUDIENCE, "Enforce")], many, SETTINGS)
    longest = max(
        len(part["expression"])
        for policy in of_kind(documents, "")
        for part in (
            *policy["spec"].get("variables", ()),
            *policy["spec"]["matchConditions"],
            *policy["spec"]["validations"],
        )
    )
    assert longest < LIMIT
    assert sum(len(variable(policy, "grants")) for policy in of_kind(documents, "tokens-")) == len(many)
    shuffled = random.Random(2).sample(many, len(many))  # noqa: S311 - an order, no secret
    assert policies([Protection(AUDIENCE, "Enforce")], shuffled, SETTINGS) == documents
