"""Generated objects: written where they deviate, repaired when touched; additions to selectors are not fought."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from api_double import ApiDouble
from apostille.controller.generated import Generated, covers, replacement
from jumping_loop import in_no_time

HOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
MAPS = "/api/v1/namespaces/own/configmaps"
HOOK = "MutatingWebhookConfiguration"


def document(**webhook: Any) -> dict[str, Any]:
    one = {
        "name": "bound.apostille.dev",
        "failurePolicy": "Fail",
        "namespaceSelector": {"matchExpressions": [{"key": "name", "operator": "In", "values": ["a"]}]},
        "objectSelector": {},
        "matchConditions": [{"name": "pairs", "expression": "true"}],
    } | webhook
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": HOOK,
        "metadata": {"name": "apostille-pods-0", "labels": {"app.kubernetes.io/managed-by": "apostille"}},
        "webhooks": [one],
    }


@asynccontextmanager
async def generated(api: ApiDouble) -> AsyncIterator[tuple[Generated, list[tuple[str, str]]]]:
    changed: list[tuple[str, str]] = []
    made = Generated(api, "own", lambda kind, name: changed.append((kind, name)))  # type: ignore[arg-type]
    running = asyncio.create_task(made.run())
    await made.synced()
    await asyncio.sleep(0.1)
    yield made, changed
    assert not running.done()
    running.cancel()


def writes(api: ApiDouble) -> list[str]:
    return [verb for verb, _ in api.requests if verb in ("APPLY", "MERGE", "DELETE")]


@in_no_time
async def test_what_is_as_wanted_is_not_written_after_a_restart_either() -> None:
    api = ApiDouble()
    async with generated(api) as (made, _):
        assert await made.write(document(), "m")
        assert not await made.write(document(), "m")
    async with generated(api) as (made, _):
        assert not await made.write(document(), "m")

    assert writes(api) == ["APPLY"]


@in_no_time
async def test_our_own_writes_come_back_without_a_stir() -> None:
    api = ApiDouble()
    async with generated(api) as (made, changed):
        await made.write(document(), "m")
        changed.clear()  # its event may have been faster than the answer
        await made.write(document(failurePolicy="Ignore"), "m")
        await asyncio.sleep(1)
        quiet = list(changed)

    assert len(quiet) <= 1


@in_no_time
async def test_a_hand_edit_is_heard_of_and_undone() -> None:
    api = ApiDouble()
    async with generated(api) as (made, changed):
        await made.write(document(), "m")
        await asyncio.sleep(1)
        changed.clear()
        api.put(f"{HOOKS}/apostille-pods-0", **copy.deepcopy(document(failurePolicy="Ignore")))
        await asyncio.sleep(1)

        assert changed == [(HOOK, "apostille-pods-0")]
        assert await made.write(document(), "m")

    assert api.objects[f"{HOOKS}/apostille-pods-0"]["webhooks"][0]["failurePolicy"] == "Fail"


@in_no_time
async def test_a_deleted_object_is_heard_of_and_made_again() -> None:
    api = ApiDouble()
    async with generated(api) as (made, changed):
        await made.write(document(), "m")
        await asyncio.sleep(1)
        changed.clear()
        api.drop(f"{HOOKS}/apostille-pods-0")
        await asyncio.sleep(1)

        assert changed == [(HOOK, "apostille-pods-0")]
        assert await made.write(document(), "m")

    assert f"{HOOKS}/apostille-pods-0" in api.objects


@in_no_time
async def test_what_is_removed_and_wanted_again_at_once_is_written_again() -> None:
    """Its watch has not told of the removal yet: the copy still has it."""
    api = ApiDouble()
    async with generated(api) as (made, _):
        await made.write(document(), "m")
        await asyncio.sleep(1)
        await made.remove(HOOK, "apostille-pods-0")

        assert made.names(HOOK) == set()
        assert await made.write(document(), "m")
        await asyncio.sleep(1)
        assert made.names(HOOK) == {"apostille-pods-0"}

    assert f"{HOOKS}/apostille-pods-0" in api.objects


@in_no_time
async def test_leftovers_go_and_nothing_else() -> None:
    api = ApiDouble()
    for name in ("apostille-pods-0", "apostille-pods-1"):
        api.put(f"{HOOKS}/{name}", kind=HOOK, webhooks=[])
    async with generated(api) as (made, _):
        await made.remove_others(HOOK, {"apostille-pods-0"})

    assert [path for path in api.objects if path.startswith(HOOKS)] == [f"{HOOKS}/apostille-pods-0"]


@in_no_time
async def test_a_stranger_in_our_lists_is_replaced_as_a_whole() -> None:
    """An apply cannot remove what another manager owns; the double keeps it as the API server does."""
    api = ApiDouble()
    apply = api.apply
    stranger = {"name": "off", "expression": "false"}

    async def keep_others(path: str, body: Any, *, manager: str) -> Any:
        body = copy.deepcopy(dict(body))
        body["webhooks"][0]["matchConditions"].append(stranger)
        return await apply(path, body, manager=manager)

    api.apply = keep_others  # type: ignore[method-assign]
    async with generated(api) as (made, _):
        await made.write(document(), "m")

    conditions = api.objects[f"{HOOKS}/apostille-pods-0"]["webhooks"][0]["matchConditions"]
    assert conditions == [{"name": "pairs", "expression": "true"}]
    assert writes(api) == ["APPLY", "MERGE"]


@in_no_time
async def test_a_fight_that_cannot_be_won_is_given_up_until_something_changes() -> None:
    api = ApiDouble()
    store = api._store

    def stubborn(path: str, body: Any) -> Any:
        body = copy.deepcopy(dict(body))
        body["webhooks"][0]["failurePolicy"] = "Ignore"
        return store(path, body)

    api._store = stubborn  # type: ignore[method-assign]
    async with generated(api) as (made, _):
        for _ in range(5):
            await made.write(document(), "m")
            await asyncio.sleep(0.1)
        assert len(writes(api)) == 2

        api.put(f"{HOOKS}/apostille-pods-0", **document())
        await asyncio.sleep(0.1)
        await made.write(document(), "m")

    assert len(writes(api)) == 4


@pytest.mark.parametrize(
    ("change", "as_wanted"),
    [
        ({}, True),
        ({"timeoutSeconds": 10}, True),  # what the API server fills in
        ({"failurePolicy": "Ignore"}, False),
        ({"matchConditions": [{"name": "pairs", "expression": "false"}]}, False),
        ({"matchConditions": []}, False),
        ({"matchConditions": [{"name": "pairs", "expression": "true"}, {"name": "off", "expression": "false"}]}, False),
        ({"namespaceSelector": {}}, False),
        # A cloud's admission enforcer keeps its own namespaces out.
        (
            {
                "namespaceSelector": {
                    "matchExpressions": [
                        {"key": "control-plane", "operator": "DoesNotExist"},
                        {"key": "name", "operator": "In", "values": ["a"]},
                    ]
                }
            },
            True,
        ),
        ({"namespaceSelector": {"matchExpressions": [{"key": "name", "operator": "In", "values": ["a", "b"]}]}}, False),
        ({"objectSelector": {"matchLabels": {"x": "y"}}}, True),
    ],
)
def test_what_counts_as_wanted(change: dict[str, Any], as_wanted: bool) -> None:
    assert covers(document(**change), document()) is as_wanted


def test_a_webhook_too_many_or_another_order_is_not_as_wanted() -> None:
    two = document()
    two["webhooks"].append({"name": "other"})
    assert not covers(two, document())
    assert not covers({**two, "webhooks": two["webhooks"][::-1]}, two)


def test_a_forged_file_beside_ours_is_seen_and_patched_away() -> None:
    wanted = {"kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"policy.json": "{}"}}
    forged = {**wanted, "data": {"policy.json": "{}", "other.json": "{}"}}

    assert not covers(forged, wanted)
    assert replacement(forged, wanted)["data"] == {"policy.json": "{}", "other.json": None}
