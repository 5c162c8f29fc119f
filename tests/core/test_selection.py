"""Which pods the API server asks about."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apostille.core import selection as made
from apostille.core.selection import cel_list, cel_string, expected_warnings, pairs_expression, parse_pairs, selection
from apostille.core.settings import ClusterSettings
from apostille.model.identity import ServiceAccount
from builders import SETTINGS, pairs
from properties import examples

LIMIT = 100_000  # code points of an expression, k8s.io/apiserver/pkg/apis/cel


def webhooks(configurations: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {webhook["name"]: webhook for c in configurations for webhook in c["webhooks"]}


def test_the_expression_is_this_text() -> None:
    assert pairs_expression(pairs("b/y", "a/z", "a/x")) == (
        '[{"a": ["x", "z"], "b": ["y"]}].exists(m, request.namespace in m && '
        "has(object.spec.serviceAccountName) && object.spec.serviceAccountName in m[request.namespace])"
    )


def test_two_tiers() -> None:
    (configuration,) = selection(pairs("a/x"), pairs("a/x", "a/y", "b/z"), SETTINGS)
    assert configuration["metadata"] == {
        "name": "apostille-pods-0",
        "labels": {"app.kubernetes.io/managed-by": "apostille"},
    }
    tiers = webhooks([configuration])
    bound, allowed = tiers["bound-workloads.apostille.dev"], tiers["allowed-workloads.apostille.dev"]
    assert (bound["failurePolicy"], bound["timeoutSeconds"]) == ("Fail", 10)
    assert (allowed["failurePolicy"], allowed["timeoutSeconds"]) == ("Ignore", 5)
    assert parse_pairs(bound["matchConditions"][0]["expression"]) == pairs("a/x")
    assert parse_pairs(allowed["matchConditions"][0]["expression"]) == pairs("a/y", "b/z"), (
        "bound pairs are not asked twice"
    )
    assert bound["namespaceSelector"]["matchExpressions"][0]["values"] == ["a"]
    assert allowed["namespaceSelector"]["matchExpressions"][0]["values"] == ["a", "b"]
    for tier in (bound, allowed):
        assert tier["reinvocationPolicy"] == "IfNeeded"
        assert tier["sideEffects"] == "None"
        assert tier["rules"][0]["operations"] == ["CREATE"]
        assert tier["rules"][0]["resources"] == ["pods"]


@pytest.mark.parametrize(
    ("bound", "allowed", "tiers"),
    [
        ([], [], []),
        (["a/x"], [], ["bound-workloads.apostille.dev", "probe.apostille.dev"]),
        ([], ["a/x"], ["allowed-workloads.apostille.dev", "probe.apostille.dev"]),
        (["a/x"], ["a/x"], ["bound-workloads.apostille.dev", "probe.apostille.dev"]),
    ],
)
def test_no_tier_without_pairs(bound: list[str], allowed: list[str], tiers: list[str]) -> None:
    assert list(webhooks(selection(pairs(*bound), pairs(*allowed), SETTINGS))) == tiers


def test_the_same_pairs_give_the_same_documents() -> None:
    many = pairs(*(f"ns-{i % 7}/sa-{i}" for i in range(50)))
    shuffled = random.Random(1).sample(many, len(many))  # noqa: S311 - an order, no secret
    assert selection(many[:20], many, SETTINGS) == selection(set(many[:20]), shuffled, SETTINGS)


def test_a_changed_pair_changes_the_probe_of_its_configuration() -> None:
    before, after = selection(pairs("a/x"), [], SETTINGS), selection(pairs("a/y"), [], SETTINGS)
    assert expected_warnings(before) != expected_warnings(after)
    (warning,) = expected_warnings(before)
    assert warning.startswith("apostille: apostille-pods-0 ")
    at = ClusterSettings("apostille-system", {"url": "https://127.0.0.1:1234/"}, "Q0E=")
    assert len(expected_warnings(selection(pairs("a/x"), [], at))) == 1


@pytest.mark.parametrize("namespaces", [20, 1000, 20_000])
def test_twenty_thousand_pairs_stay_under_the_api_servers_limit(namespaces: int) -> None:
    # Names of ordinary length: 63 characters of namespace, 24 of service account.
    many = [ServiceAccount(f"{i % namespaces:05}".rjust(63, "n"), f"{i:06}".rjust(24, "s")) for i in range(20_000)]
    configurations = selection(many[::2], many, SETTINGS)
    expressions = [
        condition["expression"]
        for configuration in configurations
        for webhook in configuration["webhooks"]
        for condition in webhook["matchConditions"]
    ]
    assert max(map(len, expressions)) < LIMIT
    assert len(configurations) > 1
    found = [pair for expression in expressions for pair in parse_pairs(expression)]
    assert sorted(found) == sorted(many), "every pair exactly once"
    assert len({configuration["metadata"]["name"] for configuration in configurations}) == len(configurations)


names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
some = st.sets(st.builds(ServiceAccount, names, names), max_size=30)


@examples(60)
@given(some, some, st.integers(20, 200))
def test_shards_split_the_pairs_however_small_they_are(
    bound: set[ServiceAccount], allowed: set[ServiceAccount], size: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made, "SHARD_CODE_POINTS", size)
        configurations = selection(bound, allowed, SETTINGS)
    found: dict[str, list[ServiceAccount]] = {"Fail": [], "Ignore": []}
    for configuration in configurations:
        for webhook in configuration["webhooks"]:
            found[webhook["failurePolicy"]] += parse_pairs(webhook["matchConditions"][0]["expression"])
    assert sorted(found["Fail"]) == sorted(bound)
    assert sorted(found["Ignore"]) == sorted(allowed - bound)


@examples(100)
@given(some)
def test_pairs_are_read_back(bound: set[ServiceAccount]) -> None:
    if bound:
        assert sorted(parse_pairs(pairs_expression(sorted(bound)))) == sorted(bound)


def test_anothers_expression_holds_no_pairs() -> None:
    for text in ("true", "", "[1].exists(m, m == 1)", "[{broken].exists("):
        assert parse_pairs(text) == [], text


@examples(100)
@given(st.text())
def test_a_cel_string_is_one_token_for_any_text(text: str) -> None:
    literal = cel_string(text)
    assert json.loads(literal) == text
    # CEL has no surrogates: a \u escape must be a code point of its own (cel-spec, "String and Bytes Values").
    escapes = re.findall(r"\\u([0-9a-f]{4})", literal.replace("\\\\", ""))
    assert [escape for escape in escapes if 0xD800 <= int(escape, 16) <= 0xDFFF] == []


def test_a_cel_list() -> None:
    assert cel_list(["a", 'b"c']) == '["a", "b\\"c"]'
    assert cel_list([]) == "[]"


def test_generated_objects_hang_on_the_anchor() -> None:
    owner = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "name": "apostille-anchor",
        "uid": "u",
    }
    owned = ClusterSettings(SETTINGS.own_namespace, SETTINGS.client_config, SETTINGS.ca_bundle, owner)
    (configuration,) = selection(pairs("a/x"), [], owned)
    assert configuration["metadata"]["ownerReferences"] == [owner]


def test_deletions_of_the_kinds_are_never_judged() -> None:
    webhook, _ = made.kinds_webhooks(SETTINGS)["webhooks"]
    assert webhook["rules"][0]["operations"] == ["CREATE", "UPDATE"]
    assert webhook["failurePolicy"] == "Fail"
    assert webhook["clientConfig"]["service"]["path"] == "/validate"


def test_the_endpoint_is_probed_where_nothing_is_selected_too() -> None:
    configuration = made.kinds_webhooks(SETTINGS)
    (warning,) = made.expected_warnings([configuration])
    _, probe = configuration["webhooks"]
    assert warning.startswith("apostille: apostille-kinds ")
    assert probe["failurePolicy"] == "Ignore"


def test_what_was_selected_is_read_back() -> None:
    (configuration,) = selection(pairs("a/x"), pairs("a/x", "a/y", "b/z"), SETTINGS)
    assert made.selected(configuration) == (frozenset(pairs("a/x")), frozenset(pairs("a/y", "b/z")))


def test_nothing_is_read_from_what_others_wrote() -> None:
    foreign = {
        "webhooks": [{"name": "x", "matchConditions": [{"name": "c", "expression": "request.namespace == 'a'"}]}]
    }
    assert made.selected(foreign) == (frozenset(), frozenset())
