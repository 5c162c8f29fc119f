"""One catalogue, told three times: of 10,000 generated objects webhook, policies and lint say what the core says.

In process: the handlers that answer, the policies' own CEL, lint of the objects' text. With real processes some hundred
of the same objects are judged in `tests/integration/test_agreement.py`.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import pytest

from admission.test_declared import ApiServer, declared
from admission.test_handlers import NotWaiting, Server
from agreement import (
    OWN,
    WHERE_LINT,
    WHERE_POLICY,
    WHERE_WEBHOOK,
    Json,
    World,
    generated_binding,
    generated_trust,
    told,
)
from apostille.admission.early import Early
from apostille.admission.validate import Validate
from apostille.core import grants
from apostille.core.guard import DEFAULT_SECONDS, Guard
from apostille.core.judge import judge_binding, judge_trust
from apostille.kinds import decode
from apostille.lint.judge import LIVE, Options, lint
from apostille.lint.rules import INVALID
from apostille.model.finding import Finding, refusals
from apostille.parties.registry import catalogue
from builders import CONTEXT, SETTINGS, allow, raw_trust
from policy_evaluator import Policies

# In parts, for as many workers: 4,000 pods, 3,000 trusts, 3,000 bindings; and 4,000 token requests.
PARTS = pytest.mark.parametrize("part", range(4))
PODS, DECLARATIONS = 1000, 750
TODAY = date(2026, 11, 24)
# What has access to the identity: ours by its name, by a name that only begins like it, hand-declared, or nobody's.
MOUNTS = ("apostille-token-b0", "apostille-token", "apostille-credentials", "v0", "v1", "work")


@pytest.fixture(scope="module")
def world() -> World:
    return World(["one", "two", "three", "kube-system"], "pure")


@pytest.fixture(scope="module")
def policies(world: World) -> Policies:
    return Policies(grants.policies(world.protections, world.grants, SETTINGS))


def ids(findings: Iterator[Finding] | Sequence[Finding]) -> set[str]:
    return {finding.rule.id for finding in findings}


def linted(objects: Sequence[Json], *live: Json) -> list[set[str]]:
    """Of each object what lint says, but for rules of its own; beside what a cluster holds."""
    files = [(f"{i}.yaml", json.dumps(raw).encode()) for i, raw in enumerate(objects)]
    report = lint(files, Options(CONTEXT, TODAY, live=live))
    assert report.problems == []
    found: dict[str, set[str]] = {name: set() for name, _ in files}
    for result in report.active:
        if result.file != LIVE and not result.finding.rule.id.startswith("LNT3"):
            found[result.file].add(result.finding.rule.id)
    return list(found.values())


def told_by(messages: Sequence[str]) -> set[str]:
    return {rule for message in messages for rule in told(message)}


async def early(handler: Early, raw: Json, kind: str, resource: str = "") -> set[str]:
    """Of a template what is said of the pods that will come of it."""
    pod = {"metadata": {}, "spec": raw["spec"]}
    request = {
        "uid": "1", "namespace": raw["metadata"]["namespace"], "kind": {"kind": kind}, "subResource": resource,
        "object": raw if kind == "Pod" else {"spec": {"template": pod}},
    }  # fmt: skip
    answer = await handler(request, time.monotonic() + 5)
    return told_by(answer["response"].get("warnings", ()))


def defaulted(raw: Json) -> Json:
    """As admission sees it (core/v1 defaults)."""
    spec = {"serviceAccountName": "default", **raw["spec"]}
    for volume in spec.get("volumes", ()):
        for source in (volume.get("projected") or {}).get("sources", ()):
            if "serviceAccountToken" in source:
                source["serviceAccountToken"].setdefault("expirationSeconds", DEFAULT_SECONDS)
    return {**raw, "spec": spec}


@PARTS
async def test_pods(part: int, world: World, policies: Policies) -> None:
    chance, handler = random.Random(part), world.early()  # noqa: S311
    seen: set[str] = set()
    pods = [world.pod(chance) for _ in range(PODS)]
    for raw in pods:
        if chance.random() < 0.3:
            mounts = [{"name": chance.choice(MOUNTS), "mountPath": f"/{i}"} for i in range(chance.randrange(3))]
            raw["spec"]["ephemeralContainers"] = [{"name": "debug", "image": "sh", "volumeMounts": mounts}]
    for raw, by_lint in zip(pods, linted(pods, *world.trusts, *world.bindings), strict=True):
        namespace, spec = raw["metadata"]["namespace"], raw["spec"]
        created, debugged = ids(world.guard.pod(namespace, spec)), ids(world.guard.debugged(namespace, spec))
        by_webhook = await early(handler, raw, "Deployment")
        warned = await early(handler, raw, "Pod", "ephemeralcontainers")
        whole = defaulted(raw)
        assert told_by(policies.refusals("pods", namespace, "", whole)) == created, raw
        assert told_by(policies.refusals("pods/ephemeralcontainers", namespace, "", whole)) == debugged == warned, raw
        assert by_webhook & WHERE_POLICY == created, raw
        assert by_webhook | warned == by_lint, raw
        seen |= by_lint
    assert seen >= {"APO104", "APO202", "APO501", "APO503", "APO504"}, "every rule had its cases"
    assert seen <= WHERE_WEBHOOK & WHERE_LINT | WHERE_POLICY


@PARTS
def test_token_requests(part: int, world: World, policies: Policies) -> None:
    """Only policies see these."""
    chance, seen = random.Random(part), set()  # noqa: S311
    for _ in range(PODS):
        account, spec = world.request(chance)
        by_core = ids(world.guard.token(account, spec))
        said = policies.refusals("serviceaccounts/token", account.namespace, account.name, {"spec": spec})
        assert told_by(said) == by_core, (account, spec)
        seen |= by_core
    assert seen == {"APO104", "APO501", "APO502", "APO503"}


def test_pods_and_token_requests_of_a_namespace_that_is_spared(world: World) -> None:
    """Users who were there first. Lint does not know of them."""
    chance = random.Random(0)  # noqa: S311
    protections = [grants.Protection(one.audience, "Enforce", (space,)) for one, space in zip(
        world.protections, ("two", "three"), strict=True)]  # fmt: skip
    guard = Guard.of(protections, world.grants, OWN)
    policies = Policies(grants.policies(protections, world.grants, SETTINGS))
    spared = 0
    for _ in range(PODS):
        raw = world.pod(chance)
        namespace, spec = raw["metadata"]["namespace"], raw["spec"]
        spec["ephemeralContainers"] = [{"name": "debug", "image": "sh", "volumeMounts": [{"name": "v0"}]}]
        debugged = ids(guard.debugged(namespace, spec))
        for resource, found in (("pods", ids(guard.pod(namespace, spec))), ("pods/ephemeralcontainers", debugged)):
            assert told_by(policies.refusals(resource, namespace, "", defaulted(raw))) == found, raw
        spared += debugged < ids(world.guard.debugged(namespace, spec))
        account, asked = world.request(chance)
        said = policies.refusals("serviceaccounts/token", account.namespace, account.name, {"spec": asked})
        assert told_by(said) == ids(guard.token(account, asked)), (account, asked)
    assert spared > PODS / 60


@PARTS
async def test_trusts(part: int) -> None:
    chance = random.Random(part)  # noqa: S311
    # Somebody else's, with an audience that others are given too.
    other = raw_trust("other", audience="vault", allow=[allow("payments", ["reader", "a1", "a2", "a3"])])
    handler = Validate(declared(ApiServer(other)), NotWaiting())  # type: ignore[arg-type]
    others = [decode.federation_trust(other)]

    def judged(raw: Json) -> list[Finding]:
        return judge_trust(decode.federation_trust(raw), others, CONTEXT)

    seen = await _agreed((generated_trust(chance, i) for i in range(DECLARATIONS)), judged, handler, other)
    assert seen >= {
        "APO101", "APO102", "APO103", "APO105", "APO106", "APO107", "APO201", "APO202", "APO203", "APO302", "APO303",
        "AWS101", "AWS102",
    }  # fmt: skip


@PARTS
async def test_bindings(part: int) -> None:
    chance = random.Random(part)  # noqa: S311
    by = raw_trust(allow=[allow("payments", ["reader", "writer", "default"])], ceilings={"assertionSeconds": 7200})
    server = Server(by, accounts=("reader", "reader-2", "writer", "default", "*", "read*"))
    handler = Validate(declared(server, by), NotWaiting())  # type: ignore[arg-type]
    trust = decode.federation_trust(by)

    def judged(raw: Json) -> list[Finding]:
        return judge_binding(decode.workload_binding(raw), trust, CONTEXT)

    seen = await _agreed((generated_binding(chance, i) for i in range(DECLARATIONS)), judged, handler, by)
    assert seen >= {"APO201", "APO202", "APO203", "APO302", "APO303", "APO401", "AWS101", "AWS102"}


async def _agreed(generated: Iterator[Json], judged: Any, handler: Validate, *live: Mapping[str, Any]) -> set[str]:
    """The rules that had a case. Nothing that the core refuses passes the webhook, and nothing else is refused."""
    seen, passed = set(), 0
    for raw in generated:
        request = {"uid": "1", "object": raw, "kind": {"kind": raw["kind"]}}
        response = (await handler(request, time.monotonic() + 5))["response"]
        try:
            by_core = judged(raw)
        except decode.InvalidObject:
            assert (response["allowed"], linted([raw], *live)) == (False, [{INVALID.id}]), raw
            continue
        refused = refusals(by_core)
        assert response["allowed"] is not bool(refused), raw
        if refused:
            lines = response["status"]["message"].splitlines()
            assert told_by(lines) <= ids(refused), raw
            assert [line.partition(":")[0] for line in lines] == list(dict.fromkeys(one.path for one in refused)), raw
        else:
            assert told_by(response.get("warnings", ())) == ids(by_core), raw
            passed += 1
        assert linted([raw], *live) == [ids(by_core)], raw
        seen |= ids(by_core)
    assert passed > DECLARATIONS / 60
    assert seen <= WHERE_WEBHOOK & WHERE_LINT
    return seen


def test_what_must_be_enforced_at_admission_is() -> None:
    wanted = {"X-AUD-EMPTY", "X-AUD-APISERVER", "X-AUD-WILDCARD", "X-AUD-MULTI", "X-AUD-FOREIGN", "X-SUB-WILDCARD",
              "X-SUB-DEFAULT", "X-SUB-SYSTEM-NS", "X-SUB-MISSING", "X-CONFUSED-TARGET"}  # fmt: skip
    assert wanted <= {rule.slug for rule in catalogue() if {"webhook", "policy"} & set(rule.enforced_in)}
    assert SETTINGS.own_namespace == OWN
