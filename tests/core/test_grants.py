"""Grants as literals in policies: complete, sharded without gap or overlap, each answering a probe."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apostille.core import grants as made
from apostille.core.grants import (
    Grant,
    Protection,
    expected_warnings,
    policies,
    probe_names,
    span,
    warnings_of_policies,
)
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
    low, high = (
        json.loads(found[name].split(" ")[-1].rstrip(")")) if name in found else "" for name in ("from", "before")
    )
    assert span(policy) == (low, high)
    return low, high


def test_nothing_protected_leaves_nothing() -> None:
    assert policies([], [grant("a")], SETTINGS) == []
    assert expected_warnings([]) == frozenset()


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
        f"apostille-tokens-{low}-0-probe": ["Warn"],
        f"apostille-pods-{low}-0-probe": ["Warn"],
        "apostille-debug-probe": ["Warn"],
    }


def test_a_policy_is_written_after_what_refuses_by_it_and_then_what_answers_for_it() -> None:
    """An answer to a probe is to say that it refuses, too."""
    documents = policies([Protection(AUDIENCE, "Enforce")], [grant("a")], SETTINGS)
    for judging, answering, policy in zip(documents[::3], documents[1::3], documents[2::3], strict=True):
        name = policy["metadata"]["name"]
        assert (judging["kind"], answering["kind"], policy["kind"]) == (
            "ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy",
        )  # fmt: skip
        assert (judging["metadata"]["name"], answering["metadata"]["name"]) == (name, f"{name}-probe")
        assert judging["spec"]["policyName"] == answering["spec"]["policyName"] == name
        assert answering["spec"]["validationActions"] == ["Warn"]


def test_only_the_probe_reaches_what_answers_and_never_what_refuses() -> None:
    documents = policies([Protection(AUDIENCE, "Enforce")], [grant("a")], SETTINGS)
    for judging, answering, _ in zip(documents[::3], documents[1::3], documents[2::3], strict=True):
        (judged,) = judging["spec"]["matchResources"]["resourceRules"]
        (asked,) = answering["spec"]["matchResources"]["resourceRules"]
        assert "configmaps" not in judged["resources"]
        assert asked["resources"] == ["configmaps"]
        own = {"matchLabels": {"kubernetes.io/metadata.name": SETTINGS.own_namespace}}
        assert answering["spec"]["matchResources"]["namespaceSelector"] == own


def test_the_probes_tell_any_change() -> None:
    def told(*grants: Grant, mode: Any = "Enforce") -> frozenset[str]:
        return expected_warnings(policies([Protection(AUDIENCE, mode)], grants, SETTINGS))

    every = {told(), told(grant("a")), told(grant("b")), told(grant("a", seconds=900)), told(grant("a"), mode="Warn")}
    assert len(every) == 5
    assert told(grant("a"), grant("b")) == told(grant("b"), grant("a"))
    assert warnings_of_policies([*told(grant("a")), "apostille: apostille-pods-0 abc in force"]) == told(grant("a"))


def test_the_answers_to_one_probe_fit_into_one_answer() -> None:
    """The API server puts a sentence before each and drops what is over 4,096 characters."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made, "SHARD_CODE_POINTS", 1)
        every = [
            document
            for mode, audience in (("Enforce", AUDIENCE), ("Warn", OTHER), ("Audit", "https://c"))
            for document in policies(
                [Protection(audience, mode)],  # type: ignore[arg-type]
                [grant(f"n-{i:02}", audience=audience) for i in range(16)],
                SETTINGS,
            )
        ]
    by_probe: dict[str, int] = {}
    for document in every:
        if document["kind"] == "ValidatingAdmissionPolicy":
            (condition,) = [c for c in document["spec"]["matchConditions"] if c["name"] == "probe"]
            probe, name = condition["expression"].split('"')[1], document["metadata"]["name"]
            sentence = f"Validation failed for ValidatingAdmissionPolicy '{name}' with binding '{name}-probe': "
            length = len(sentence + document["spec"]["validations"][0]["message"])
            assert length <= 256
            by_probe[probe] = by_probe.get(probe, 0) + length
    assert sorted(by_probe) == sorted(probe_names(every))
    assert max(by_probe.values()) <= 4096


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
        if policy["kind"] == "ValidatingAdmissionPolicy":
            first = policy["spec"]["matchConditions"][0]["expression"]
            spared = '["kube-system", "kube-public", "kube-node-lease", "apostille-system"]'
            assert first == f"request.resource.resource == 'configmaps' || (!(request.namespace in {spared}))"


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
