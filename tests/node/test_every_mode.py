"""Pods with every mode at every party get a working credential through unmodified SDKs, and lose it with its binding.

All pods are begun together: a Job a mode, with a binding and containers for each party, and one pod of programs that
call without a pause, through renewals, until their bindings are deleted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import pytest

from apostille.parties.registry import PARTIES as REGISTRY
from apostille_testbed import Node
from apostille_testbed.chart import Release
from apostille_testbed.node import everybody, sdks
from apostille_testbed.node.everybody import Parties
from apostille_testbed.progress import Console
from node.every_mode import logs, pods
from node.every_mode.at_the_parties import LIFE, apply_rendered, prepare
from node.every_mode.declarations import PARTIES, bindings, trust
from node.every_mode.programs.values import OTHER
from node.every_mode.rows import JOBS, LIVES, LONG, MODES, ROWS, Long, Row
from node.pods_scene import accounts
from node.scene import apply, trusting, until

# Not CI's before it has run on a node beside nothing else: its waits are for a machine that is its own.
pytestmark = pytest.mark.soak

_WITHIN = 120.0


@pytest.fixture(scope="module")
def parties(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parties]:
    """All of them, and Apostille with a sidecar that trusts the judges."""
    say = Console()
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        made = dict(stack.enter_context(everybody.judges(node, {f"system:serviceaccount:{LIVES}:{LIVES}": LIFE})))
        begun = pool.submit(stack.enter_context, everybody.servers(node))
        loaded = pool.submit(lambda: node.load(sdks.sdks(say)))
        tag = trusting(node, everybody.authorities(made), tmp_path_factory.mktemp("image"))
        stack.enter_context(Release(node, f"exchange.image.tag={tag}"))
        loaded.result()
        made |= begun.result()
        prepare(made)
        yield made


@pytest.fixture(scope="module")
def world(node: Node, parties: Parties) -> Node:
    """Everything is declared and in force on both sides, all pods are begun."""
    for name in (JOBS, LIVES):
        node.create_namespace(name, {"pod-security.kubernetes.io/enforce": "restricted"})
        apply(node, *pods.config_maps(name, everybody.authorities(parties)))
    accounts(node, *(mode.lower() for mode in MODES), namespace=JOBS)
    accounts(node, LIVES, namespace=LIVES)
    apply(node, *(trust(kind, parties) for kind in PARTIES))
    node.kubectl("wait", "--for=condition=Ready", "ftrust", "--all", "--timeout=60s")
    apply(node, *bindings())
    node.kubectl("wait", "--for=condition=Ready", "wbind", "--all", "--all-namespaces", "--timeout=90s")
    with ThreadPoolExecutor(len(PARTIES)) as pool:
        list(pool.map(lambda kind: apply_rendered(node, parties, kind), PARTIES))
    hosts = everybody.aliases(parties)
    refused = apply(node, pods.lives(hosts), *(pods.job(mode, hosts) for mode in MODES))
    assert "PodSecurity" not in refused
    return node


def _logs(node: Node) -> Mapping[str, str]:
    return logs.read(node, LIVES, LIVES)


@pytest.fixture(scope="module")
def renewed(world: Node, parties: Parties) -> Node:
    """What makes new credentials where a short life does not: new assertions for Hydra, another role at AWS."""
    names = {long.party.lower() for long in LONG}
    with suppress(TimeoutError):
        until(lambda: names == set(logs.exchanges(_logs(world))), "first credentials", within=_WITHIN)
    # It then asks for every token anew, instead of at four fifths of its life.
    world.restart_kubelet()
    change = json.dumps({"spec": {"target": {"aws": {"roleARN": OTHER}}}})
    world.kubectl("patch", "wbind", "aws", f"--namespace={LIVES}", "--type=merge", "-p", change)
    until(lambda: "role-archive.json" in everybody.rendered(world, "aws"), "the documents of the other role")
    apply_rendered(world, parties, "AWS")
    return world


@pytest.fixture(scope="module")
def told(renewed: Node) -> Mapping[str, Mapping[str, str]]:
    """Mode to container to what it wrote, once the Jobs have ended."""

    def ended() -> bool:
        jobs = json.loads(renewed.kubectl("get", "jobs", f"--namespace={JOBS}", "-o", "json").stdout)["items"]
        met = [{condition["type"] for condition in job["status"].get("conditions", [])} for job in jobs]
        return len(met) == len(MODES) and all({"Complete", "Failed"} & one for one in met)

    with suppress(TimeoutError):
        until(ended, "the Jobs to end", within=_WITHIN)
    return {mode: logs.read(renewed, JOBS, f"job-name={mode.lower()}") for mode in MODES}


@dataclass(frozen=True)
class Lived:
    """What the pod of programs wrote, and how often each credential was got before the bindings ended."""

    logs: Mapping[str, str]
    exchanges: Mapping[str, int]


@pytest.fixture(scope="module")
def lived(told: Mapping[str, Mapping[str, str]], renewed: Node) -> Lived:
    """Each credential is renewed, then the bindings are deleted."""
    names = {long.party.lower() for long in LONG}

    def again() -> bool:
        found = _logs(renewed)
        exchanges = logs.exchanges(found)
        return all(exchanges[name] > 1 for name in names) and all(
            long.says[-1] in logs.said(found, long.name) for long in LONG
        )  # fmt: skip

    with suppress(TimeoutError):
        until(again, "renewals", within=_WITHIN)
    before = logs.exchanges(_logs(renewed))
    renewed.kubectl("delete", "wbind", "--all", f"--namespace={LIVES}", "--timeout=60s")

    def ended() -> bool:
        pod = json.loads(renewed.kubectl("get", "pod", LIVES, f"--namespace={LIVES}", "-o", "json").stdout)
        return pod["status"]["phase"] in ("Succeeded", "Failed")

    with suppress(TimeoutError):
        until(ended, "every program to find its credential gone", within=_WITHIN)
    return Lived(_logs(renewed), before)


def test_the_table_has_every_mode_of_every_party() -> None:
    """But Alibaba, which has no pods here yet, and an SDK at Hydra: none presents an assertion once only."""
    there = {(row.party, row.mode) for row in ROWS}
    parties = [party for party in REGISTRY if party.name != "Alibaba"]
    wanted = {(party.name, "TokenOnly") for party in parties}
    wanted |= {(party.name, "SDK") for party in parties if "SDK" in party.deliveries}
    exchanging = {party.name for party in parties if "Sidecar" in party.deliveries}
    wanted |= {(name, mode) for name in exchanging for mode in ("Sidecar", "Init")}
    assert there == wanted - {("OAuth", "SDK")}
    assert {long.party for long in LONG} == exchanging


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.mode}-{row.name}")
def test_a_credential_works(told: Mapping[str, Mapping[str, str]], row: Row) -> None:
    found = told[row.mode]

    assert logs.said(found, row.name) == [row.expected], f"{found.get(row.name)}\n{logs.sidecar(found)}"


@pytest.mark.parametrize("mode", MODES)
def test_a_job_completes(told: Mapping[str, Mapping[str, str]], world: Node, mode: str) -> None:
    done = json.loads(world.kubectl("get", "job", mode.lower(), f"--namespace={JOBS}", "-o", "json").stdout)

    assert "Complete" in [met["type"] for met in done["status"].get("conditions", []) if met["status"] == "True"]


@pytest.mark.parametrize("long", LONG, ids=lambda long: long.name)
def test_no_call_fails_through_a_renewal_until_the_binding_ends(lived: Lived, long: Long) -> None:
    why = f"{lived.logs.get(long.name)}\n{logs.sidecar(lived.logs)}"

    assert lived.exchanges.get(long.party.lower(), 0) > 1, why
    assert logs.said(lived.logs, long.name) == [*long.says, "gone"], why


def test_no_credential_is_in_any_log(lived: Lived, told: Mapping[str, Mapping[str, str]]) -> None:
    text = "".join(logs.sidecar(found) for found in (lived.logs, *told.values()))

    assert "sha256:" in text
    assert not [secret for secret in ("hvs.", "eyJ", "ya29.", "ASIA") if secret in text]
