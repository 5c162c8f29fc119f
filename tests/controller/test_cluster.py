"""The cluster objects: in a safe order, only where they deviate, never without an anchor, bound only where answered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from api_double import ApiDouble
from apostille.controller.cluster import RESYNC_SECONDS, UNREACHABLE_RETRY, AnchorGone, ClusterReconciler
from apostille.controller.generated import Generated
from apostille.controller.state import State
from apostille.core import grants, selection, workloads
from apostille.core.settings import ClusterSettings
from apostille.core.tombstones import record_key
from apostille.kube.client import CLUSTER_ROLES, MUTATING, POLICIES, VALIDATING, ApiError
from apostille.model import names
from apostille.model.identity import ServiceAccount
from apostille.model.names import BINDING_PLURAL, TRUST_PLURAL
from controller.declarations import ISSUER, OWN, SETTINGS, binding, trust
from jumping_loop import in_no_time

ANCHOR = CLUSTER_ROLES.path(names.ANCHOR)
HOOK = MUTATING.path("apostille-pods-0")
APP = ServiceAccount("a", "app")


class Prober:
    """Answers as a test says; remembers what it is to expect."""

    def __init__(self) -> None:
        self.reached, self.asked = True, 0
        self.expected: list[Any] = []

    async def reachable(self) -> bool:
        self.asked += 1
        return self.reached

    def expect(self, policies: Any, want: Any, configurations: Any, kinds: Any, no_room: str = "") -> None:
        self.no_room = no_room
        self.expected.append(want)


class Scene:
    def __init__(self, api: ApiDouble, settings: ClusterSettings = SETTINGS) -> None:
        self.api, self.state, self.prober, self.bundle = api, State(OWN), Prober(), "Q0E="
        self.state.set_issuer(ISSUER, "")
        self.generated = Generated(api, OWN, lambda kind, name: None)  # type: ignore[arg-type]
        self.cluster = ClusterReconciler(
            api,
            self.generated,
            self.prober,
            self.state,
            settings,
            lambda: api.requests.append(("TELL", "")),  # type: ignore[arg-type]
            lambda: self.bundle,
        )
        self._version = 1

    def declare(self, *raws: dict[str, Any]) -> None:
        for raw in raws:
            self._version += 1
            raw["metadata"]["resourceVersion"] = str(self._version)
            self.state.put(TRUST_PLURAL if raw["kind"] == "FederationTrust" else BINDING_PLURAL, raw)

    def writes(self) -> list[str]:
        """What was written since the last look, in order."""
        found = [
            verb if verb == "TELL" else path.rpartition("/")[2]
            for verb, path in self.api.requests
            if verb in ("APPLY", "MERGE", "DELETE", "TELL")
        ]
        self.api.requests.clear()
        return found

    def bound(self) -> set[str]:
        raw = self.api.objects.get(HOOK) or {}
        return {f"{one.namespace}/{one.name}" for one in selection.selected(raw)[0]}


@asynccontextmanager
async def scene(api: ApiDouble | None = None, settings: ClusterSettings = SETTINGS) -> AsyncIterator[Scene]:
    api = api or ApiDouble()
    if ANCHOR not in api.objects:
        api.put(ANCHOR, kind="ClusterRole", metadata={"uid": "anchor"})
        api.objects[ANCHOR]["metadata"]["uid"] = "anchor"
    made = Scene(api, settings)
    running = asyncio.create_task(made.generated.run())
    await made.generated.synced()
    await asyncio.sleep(0.1)
    yield made
    running.cancel()


@in_no_time
async def test_policies_first_then_the_pods_are_told_and_the_selection_last() -> None:
    async with scene() as one:
        one.declare(trust(), binding())
        await one.cluster.reconcile()

        written = one.writes()
        assert written[:2] == ["apostille-kinds", "apostille-audiences"], "it is recorded before it is enforced"
        assert written[-4:] == ["TELL", "apostille-pods-0", "apostille-audiences", "apostille-workloads-0"]
        assert set(written[2:-4]) >= {"apostille-tokens-enforce-0", "apostille-pods-enforce-0", "apostille-debug"}
        assert one.bound() == {"a/app"}
        assert one.prober.expected[-1] == one.state.desired()


@in_no_time
async def test_nothing_is_written_where_nothing_deviates_after_a_restart_either() -> None:
    async with scene() as one:
        one.declare(trust(), binding())
        await one.cluster.reconcile()
        one.writes()
        for _ in range(3):
            assert await one.cluster.reconcile() == RESYNC_SECONDS
        assert one.writes() == ["TELL"] * 3
        api = one.api
    async with scene(api) as again:
        again.declare(trust(), binding())
        await again.cluster.reconcile()
        assert again.writes() == ["TELL"]


@in_no_time
async def test_a_new_grant_costs_what_it_changes() -> None:
    async with scene() as one:
        one.declare(trust("t", ("a", "app"), ("a", "second")), binding())
        await one.cluster.reconcile()
        one.writes()
        one.declare(binding("second", account="second"))
        await one.cluster.reconcile()

        assert one.writes() == ["apostille-tokens-enforce-0", "apostille-pods-enforce-0", "TELL", "apostille-pods-0",
                                "apostille-workloads-0"]  # fmt: skip


@in_no_time
async def test_an_addition_waits_for_the_endpoint_and_what_is_there_stays() -> None:
    async with scene() as one:
        one.declare(trust("t", ("a", "app"), ("a", "second")), binding())
        await one.cluster.reconcile()
        one.prober.reached = False
        one.declare(binding("second", account="second"))

        assert await one.cluster.reconcile() == UNREACHABLE_RETRY
        assert one.bound() == {"a/app"}
        # Not bound, but asked about: a living endpoint would inject it.
        assert ServiceAccount("a", "second") in selection.selected(one.api.objects[HOOK])[1]

        one.prober.reached = True
        assert await one.cluster.reconcile() == RESYNC_SECONDS
        assert one.bound() == {"a/app", "a/second"}


@in_no_time
async def test_what_an_earlier_process_bound_stays_bound() -> None:
    async with scene() as one:
        one.declare(trust(), binding())
        await one.cluster.reconcile()
        api = one.api
    async with scene(api) as again:
        again.prober.reached = False
        again.declare(trust(), binding())
        await again.cluster.reconcile()

        assert again.bound() == {"a/app"}
        assert again.prober.asked == 0


@in_no_time
async def test_the_endpoint_is_not_asked_for_where_nothing_is_added() -> None:
    async with scene() as one:
        one.declare(trust(), binding())
        await one.cluster.reconcile()
        asked = one.prober.asked
        one.declare(binding(suspended=True, generation=2))
        one.prober.reached = False
        await one.cluster.reconcile()

        assert one.prober.asked == asked
        assert one.bound() == set()


@in_no_time
async def test_leftovers_go_at_the_first_look() -> None:
    async with scene() as one:
        one.declare(trust(enforcement={"mode": "Warn"}), binding())
        await one.cluster.reconcile()
        api = one.api
    async with scene(api) as again:
        await again.cluster.reconcile()

    left = [path.rpartition("/")[2] for path in api.objects]
    assert left == [names.ANCHOR, "apostille-kinds"]


@in_no_time
async def test_early_warnings_of_another_version_that_it_may_not_remove_hold_up_nothing() -> None:
    """A rollback to this version: its rights are back before what the later one made is gone."""
    async with scene() as one:
        later = VALIDATING.path("apostille-later")
        one.api.put(later, metadata={"name": "apostille-later", "labels": {names.MANAGED_LABEL: names.MANAGED}})
        await asyncio.sleep(0.1)

        def fail(verb: str, path: str) -> None:
            if (verb, path) == ("DELETE", later):
                raise ApiError(403, "Forbidden", "cannot delete resource")

        one.api.fail = fail
        one.declare(trust(), binding())
        await one.cluster.reconcile()

        assert ("DELETE", later) in one.api.requests
        assert one.bound() == {"a/app"}
        assert one.prober.expected[-1] == one.state.desired()


def test_what_0_1_0_did_not_make_it_does_not_find() -> None:
    """It removes every webhook configuration of its label but one, ahead of all else, and may not remove these."""
    made = workloads.audience_webhooks(["a"], [], SETTINGS) + workloads.workload_webhooks(frozenset({APP}), SETTINGS)
    assert len(made) == 2
    for document in made:
        assert document["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "apostille-controller"}


@in_no_time
async def test_a_policy_goes_after_what_refuses_by_it() -> None:
    async with scene() as one:
        one.declare(trust(enforcement={"mode": "Warn"}), binding())
        await one.cluster.reconcile()
        one.writes()
        for key, raw in list(one.state.trusts.items()):
            one.state.drop(TRUST_PLURAL, "", key, 999)
            assert raw.name == "t"
        await one.cluster.reconcile()

        gone = [path for path in one.writes() if "tokens" in path]
        assert gone == ["apostille-tokens-warn-0", "apostille-tokens-warn-0-probe", "apostille-tokens-warn-0"]


@pytest.mark.parametrize("going", [False, True])
@in_no_time
async def test_nothing_is_written_without_an_anchor(going: bool) -> None:
    async with scene() as one:
        one.declare(trust(), binding())
        if going:
            one.api.objects[ANCHOR]["metadata"]["deletionTimestamp"] = "2027-01-01T00:00:00Z"
        else:
            del one.api.objects[ANCHOR]

        with pytest.raises(AnchorGone):
            await one.cluster.reconcile()
        assert one.writes() == []


@in_no_time
async def test_another_anchor_owns_everything_anew() -> None:
    async with scene() as one:
        one.declare(trust(), binding())
        await one.cluster.reconcile()
        one.api.objects[ANCHOR]["metadata"]["uid"] = "another"
        await one.cluster.reconcile()

        owners = {
            owner["uid"]
            for path, raw in one.api.objects.items()
            if path != ANCHOR
            for owner in raw["metadata"]["ownerReferences"]
        }
        assert owners == {"another"}


@in_no_time
async def test_a_refused_write_is_raised_and_the_next_look_goes_on() -> None:
    async with scene() as one:
        one.declare(trust(), binding())

        def refuse(verb: str, path: str) -> None:
            if verb == "APPLY" and "apostille-pods-enforce-0" in path:
                raise ApiError(500, "", "no")

        one.api.fail = refuse
        with pytest.raises(ApiError):
            await one.cluster.reconcile()
        assert HOOK not in one.api.objects  # what comes later in the order has not been done
        assert one.prober.expected == []
        one.api.fail = lambda verb, path: None
        await one.cluster.reconcile()
        assert one.bound() == {"a/app"}


@pytest.mark.parametrize("rising", [True, False])
@in_no_time
async def test_a_namespace_that_moves_to_another_shard_is_never_in_neither(
    monkeypatch: pytest.MonkeyPatch, rising: bool
) -> None:
    """Every state between two writes selects and judges each pair that is bound before and after."""
    monkeypatch.setattr(selection, "SHARD_CODE_POINTS", 60)
    monkeypatch.setattr(grants, "SHARD_CODE_POINTS", 60)
    spaces = [f"ns-{letter}" for letter in "bdfhjl"]
    more = [f"ns-{letter}" for letter in "acegik"]
    first, then = (spaces, sorted([*spaces, *more])) if rising else (sorted([*spaces, *more]), spaces)
    every = trust("t", *((space, "app") for space in sorted([*spaces, *more])))
    async with scene() as one:
        one.declare(every, *(binding(space, namespace=space) for space in first))
        await one.cluster.reconcile()
        states: list[tuple[set[str], set[str]]] = []

        def look(verb: str, path: str) -> None:
            if verb in ("APPLY", "DELETE"):
                states.append((selected(one.api), judged(one.api, spaces)))

        one.api.fail = look
        for space in set(first) - set(then):
            one.state.drop(BINDING_PLURAL, space, space, 999)
        one.declare(*(binding(space, namespace=space) for space in then))
        await one.cluster.reconcile()

        assert len([path for path in one.api.objects if path.startswith(MUTATING.path())]) > 2
        assert len(states) > 6
        for found, guarded in states:
            assert {f"{space}/app" for space in spaces} <= found
            assert set(spaces) <= guarded


def selected(api: ApiDouble) -> set[str]:
    """Pairs that some configuration asks about."""
    hooks = [raw for path, raw in api.objects.items() if path.startswith(MUTATING.path())]
    pairs = [pair for raw in hooks for tier in selection.selected(raw) for pair in tier]
    return {f"{pair.namespace}/{pair.name}" for pair in pairs}


def judged(api: ApiDouble, spaces: list[str]) -> set[str]:
    """Namespaces that some policy on tokens judges."""
    found = set()
    for path, raw in api.objects.items():
        if path.startswith(POLICIES.path()) and "tokens" in path:
            low, high = grants.span(raw)
            found |= {space for space in spaces if low <= space and (not high or space < high)}
    return found


RECORDS = f"/api/v1/namespaces/{OWN}/configmaps/{names.AUDIENCES}"
AUDIENCE = "https://t.sts.example"


def _guarded(api: ApiDouble) -> str:
    """What the policies for tokens say they guard."""
    return " ".join(
        str(raw["spec"]) for path, raw in api.objects.items() if path.endswith("policies/apostille-tokens-enforce-0")
    )


def _record(api: ApiDouble) -> dict[str, Any]:
    (text,) = api.objects[RECORDS]["data"].values()
    record: dict[str, Any] = json.loads(text)
    return record


@in_no_time
async def test_an_audience_stays_closed_after_its_trust_whoever_is_alive_when_it_goes() -> None:
    async with scene() as one:
        one.declare(trust(), binding())
        await one.cluster.reconcile()
        api = one.api
        assert "ended" not in _record(api)
    async with scene(api) as again:  # the trust went while nobody was there
        await again.cluster.reconcile()
        ended = _record(api)["ended"]

        assert AUDIENCE in _guarded(api)
        assert "{'': 0}" in _guarded(api), "nothing is granted"
        assert ended
    api.requests.clear()
    async with scene(api) as once_more:
        await once_more.cluster.reconcile()
        assert once_more.writes() == ["TELL"]
        assert _record(api)["ended"] == ended, "the date of its end stays"

        api.objects.pop(RECORDS)
        await once_more.cluster.reconcile()
    assert AUDIENCE in _guarded(api)


@in_no_time
async def test_a_released_audience_is_open_and_forgotten() -> None:
    async with scene() as one:
        one.declare(trust(), binding())
        await one.cluster.reconcile()
        api = one.api
    async with scene(api) as again:
        await again.cluster.reconcile()
        key = record_key(AUDIENCE)
        api.put(RECORDS, **{**api.objects[RECORDS], "data": {key: json.dumps(_record(api) | {"released": True})}})
        await asyncio.sleep(0.1)
        await again.cluster.reconcile()

        assert api.objects[RECORDS]["data"] == {}
        assert _guarded(api) == ""


@in_no_time
async def test_what_its_owner_opens_leaves_nothing_closed() -> None:
    async with scene() as one:
        one.declare(trust(), binding())
        await one.cluster.reconcile()
        one.declare(trust(enforcement={"mode": "Audit"}, generation=2))
        await one.cluster.reconcile()
        assert one.api.objects[RECORDS]["data"] == {}
        one.state.drop(TRUST_PLURAL, "", "t", 999)
        await one.cluster.reconcile()

        assert _guarded(one.api) == ""


@in_no_time
async def test_what_does_not_fit_is_not_added_and_what_ends_goes() -> None:
    accounts = [(f"n{i:03}", "x" * 200) for i in range(256)]
    few = replace(SETTINGS, shards=1)
    async with scene(settings=few) as one:
        one.declare(trust("t", ("a", "app"), ("a", "second")), binding(), binding("second", account="second"))
        await one.cluster.reconcile()
        one.declare(trust("big", *accounts))
        one.declare(*(binding("b", "big", namespace, account) for namespace, account in accounts))
        one.state.drop(BINDING_PLURAL, "a", "second", 999)
        await one.cluster.reconcile()

        granted = {grant.account for raw in one.api.objects.values() for grant in grants.granted(raw)}
        assert granted == {APP}, "neither the new ones nor the one that has ended"
        assert "a/app" in one.bound()
        assert "controller.shards" in one.prober.no_room
        assert not [path for path in one.api.objects if path.endswith("-1")]
