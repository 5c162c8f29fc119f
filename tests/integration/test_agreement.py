"""One catalogue, told by real processes: what the API server and the webhook say is what the functions say.

Some hundred of the objects of `tests/agreement.py`, as dry runs; `make soak` judges 10,000, and so does
`tests/rules/test_agreement.py`, in process.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from agreement import OWN, WHERE_POLICY, WHERE_WEBHOOK, Json, World, generated_trust, told
from apostille.admission.early import Early
from apostille.core.judge import Context, judge_trust
from apostille.kinds import decode
from apostille.model.finding import refusals
from apostille.model.identity import Issuer
from integration.cluster import Cluster
from integration.plain_client import PlainClient, connected
from integration.policy_scene import policy_scene

pytestmark = pytest.mark.integration
NUMBER = 10_000 if os.environ.get("HYPOTHESIS_PROFILE") == "soak" else 300


@pytest.fixture(scope="module")
def api(control_plane: Any) -> Iterator[PlainClient]:
    with connected(control_plane.kubeconfig) as client:
        yield client


@pytest.fixture(scope="module")
def world(api: PlainClient) -> Iterator[World]:
    with policy_scene(api) as scene:
        made = World([scene.namespace(name) for name in ("one", "two", "three")], scene.prefix)
        scene.write(made.protections, made.grants)
        yield made


def agree(said: set[str], by_core: set[str], about: object) -> None:
    """A policy says the first of what it has to say."""
    assert bool(said) == bool(by_core), (said, by_core, about)
    assert said <= by_core, (said, by_core, about)


def test_token_requests(api: PlainClient, world: World) -> None:
    chance, seen = random.Random(1), set()  # noqa: S311
    for _ in range(NUMBER):
        account, spec = world.request(chance)
        path = f"/api/v1/namespaces/{account.namespace}/serviceaccounts/{account.name}/token?dryRun=All"
        answer = api.request("POST", path, {"spec": spec})
        assert answer.code in (201, 403), answer.message
        by_core = {finding.rule.id for finding in world.guard.token(account, spec)}
        agree(told(answer.message), by_core, (account, spec))
        seen |= by_core
    assert seen == {"APO104", "APO501", "APO502", "APO503"} <= WHERE_POLICY, "every rule had its cases"


async def _early(early: Early, raw: Json) -> set[str]:
    """Of a template: what the webhook says of the pods that will come of it."""
    request = {
        "uid": "1", "namespace": raw["metadata"]["namespace"], "kind": {"kind": "Deployment"},
        "object": {"spec": {"template": {"metadata": {}, "spec": raw["spec"]}}},
    }  # fmt: skip
    answer = await early(request, time.monotonic() + 5)
    return {rule for warning in answer["response"].get("warnings", ()) for rule in told(warning)}


async def test_pods(api: PlainClient, world: World) -> None:
    chance, seen, early = random.Random(2), set(), world.early()  # noqa: S311
    for _ in range(NUMBER):
        raw = world.pod(chance)
        answer = api.create(raw, dry_run=True)
        assert answer.code in (201, 403), answer.message
        by_core = {finding.rule.id for finding in world.guard.pod(raw["metadata"]["namespace"], raw["spec"])}
        agree(told(answer.message), by_core, raw)
        seen |= by_core
        by_webhook = await _early(early, raw)
        assert by_webhook & WHERE_POLICY == by_core, raw
        assert by_webhook <= WHERE_WEBHOOK
    assert seen == {"APO104", "APO501", "APO503"}


def test_nothing_that_the_core_refuses_passes_the_webhook(cluster: Cluster) -> None:
    """The real one, through the API server: schema and CEL may refuse more, the core nothing that they let pass."""
    chance = random.Random(3)  # noqa: S311
    plane = cluster.installation.control_plane
    context = Context(Issuer(plane.issuer), OWN)
    refused_by_core, passed = set(), 0
    for number in range(NUMBER // 3):
        raw = generated_trust(chance, number)
        answer = cluster.api.create(raw, dry_run=True)
        try:
            found = judge_trust(decode.federation_trust(raw), (), context)
        except decode.InvalidObject:
            assert not answer.ok, raw
            continue
        refused = {finding.rule.id for finding in refusals(found)}
        refused_by_core |= refused
        if answer.ok:
            assert not refused, (refused, raw)
            assert told(" ".join(answer.warnings)) == {finding.rule.id for finding in found}, raw
            passed += 1
        elif answer.code == 403:
            assert told(answer.message) <= refused, (answer.message, raw)
            assert refused, answer.message
        else:
            assert answer.code == 422, answer.message
    assert passed > NUMBER // 60
    assert {"APO102", "APO105", "APO202", "APO203", "APO303", "AWS102"} <= refused_by_core
