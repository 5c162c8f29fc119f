"""Pods with every mode at every party get a working credential through unmodified SDKs, and lose it with its binding.

A Job a mode, with a binding and containers for each party, runs beside one pod of programs that call again and again,
through renewals, until their bindings are deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

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
from node.every_mode.rows import JOBS, LIVES, LONG, MODES, ROWS, Long, Row
from node.pods_scene import accounts
from node.scene import apply, forget, forget_namespaces, met, retarget, until

_WITHIN = 300.0


@pytest.fixture(scope="module")
def parties(node: Node, trusting: Callable[[str], Release]) -> Iterator[Parties]:
    """All of them, and Apostille with a sidecar that trusts the judges."""
    say = Console()
    with ExitStack() as stack, ThreadPoolExecutor(2) as pool:
        made = dict(stack.enter_context(everybody.judges(node, {f"system:serviceaccount:{LIVES}:{LIVES}": LIFE})))
        begun = pool.submit(stack.enter_context, everybody.servers(node))
        loaded = pool.submit(lambda: node.load(sdks.sdks(say)))
        trusting(everybody.authorities(made))
        loaded.result()
        made |= begun.result()
        prepare(made)
        yield made


@pytest.fixture(scope="module")
def world(node: Node, parties: Parties) -> Iterator[Node]:
    """Everything is declared and in force on both sides, all pods are begun: the Jobs once the other has answered."""
    for name in (JOBS, LIVES):
        node.create_namespace(name, {"pod-security.kubernetes.io/enforce": "restricted"})
        apply(node, *pods.config_maps(name, everybody.authorities(parties)))
    accounts(node, *(mode.lower() for mode in MODES), namespace=JOBS)
    accounts(node, LIVES, namespace=LIVES)
    apply(node, *(trust(kind, parties) for kind in PARTIES))
    trusts = [kind.lower() for kind in PARTIES]
    for name in trusts:
        met(node, f"federationtrusts/{name}", within=120)
    declared = bindings()
    apply(node, *declared)
    for one in declared:
        met(node, f"workloadbindings/{one['metadata']['name']}", one["metadata"]["namespace"], within=120)
    with ThreadPoolExecutor(len(PARTIES)) as pool:
        list(pool.map(lambda kind: apply_rendered(node, parties, kind), PARTIES))
    hosts = everybody.aliases(parties)
    refused = apply(node, pods.lives(hosts))
    with suppress(TimeoutError):
        until(lambda: _answered(node, 0, 1), "first answers", within=_WITHIN, pause=0.5)
    # Hydra takes an assertion once, and the kubelet asks for another when four fifths of its life are over, or when it
    # restarts. What it is about to start then would never be, so this comes ahead of the Jobs.
    node.restart_kubelet()
    for kind, party in PARTIES.items():
        if party.other:
            _turn(node, parties, kind, party.other[1])
    refused += apply(node, *(pods.job(mode, hosts) for mode in MODES))
    assert "PodSecurity" not in refused
    yield node
    forget(node, LIVES)
    forget(node, JOBS, *trusts)
    forget_namespaces(node, JOBS, LIVES)


def _turn(node: Node, parties: Parties, kind: str, other: dict[str, Any]) -> None:
    """The pod that lives gets another target at a party; what it had stays there, as it is in use."""
    before = everybody.rendered(node, kind.lower())
    retarget(node, LIVES, kind.lower(), {kind.lower(): other})
    until(lambda: everybody.rendered(node, kind.lower()) != before, f"other documents for {kind}", within=_WITHIN)
    apply_rendered(node, parties, kind, before)


def _answered(node: Node, which: int, exchanges: int) -> bool:
    """Whether each program of the pod that lives has said that, and its credential was got so often; or one failed."""
    found = logs.read(node, LIVES, LIVES)
    said = {long: logs.said(found, long.name) for long in LONG}
    if any(line.startswith("failed") for lines in said.values() for line in lines):
        # Nothing to wait for: the tests say why.
        return True
    had = logs.exchanges(found)
    return all(had[long.binding] >= exchanges and long.says[which] in said[long] for long in LONG)


@dataclass(frozen=True)
class Lived:
    """What the pod of programs wrote, and how often each credential was got before the bindings ended."""

    logs: Mapping[str, str]
    exchanges: Mapping[str, int]


@pytest.fixture(scope="module")
def lived(world: Node) -> Lived:
    """Each credential is renewed, then the bindings are deleted."""

    with suppress(TimeoutError):
        until(lambda: _answered(world, -1, 2), "renewals", within=_WITHIN, pause=0.5)
    before = logs.exchanges(logs.read(world, LIVES, LIVES))
    world.kubectl("delete", "wbind", "--all", f"--namespace={LIVES}", "--timeout=120s")
    with suppress(TimeoutError):
        until(lambda: _ended(world), "every program to find its credential gone", within=_WITHIN)
    return Lived(logs.read(world, LIVES, LIVES), before)


def _ended(node: Node) -> bool:
    pod = node.client.request("GET", f"/api/v1/namespaces/{LIVES}/pods/{LIVES}")
    return pod["status"]["phase"] in ("Succeeded", "Failed")


@pytest.fixture(scope="module")
def told(lived: Lived, world: Node) -> Mapping[str, Mapping[str, str]]:
    """Mode to container to what it wrote, once the Jobs have ended."""

    def ended() -> bool:
        return all({"Complete", "Failed"} & _conditions(world, mode) for mode in MODES)

    with suppress(TimeoutError):
        until(ended, "the Jobs to end", within=_WITHIN)
    return {mode: logs.read(world, JOBS, mode.lower()) for mode in MODES}


def _conditions(node: Node, mode: str) -> set[str]:
    found = node.client.request("GET", f"/apis/batch/v1/namespaces/{JOBS}/jobs/{mode.lower()}")["status"]
    return {met["type"] for met in found.get("conditions", []) if met["status"] == "True"}


def test_the_table_has_every_mode_of_every_party() -> None:
    """But an SDK at Hydra: none presents an assertion once only."""
    there = {(row.party, row.mode) for row in ROWS}
    wanted = {(party.name, "TokenOnly") for party in REGISTRY}
    wanted |= {(party.name, "SDK") for party in REGISTRY if "SDK" in party.deliveries}
    exchanging = {party.name for party in REGISTRY if "Sidecar" in party.deliveries}
    wanted |= {(name, mode) for name in exchanging for mode in ("Sidecar", "Init")}
    assert there == wanted - {("OAuth", "SDK")}
    assert {long.party for long in LONG} == exchanging


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.mode}-{row.name}")
def test_a_credential_works(told: Mapping[str, Mapping[str, str]], row: Row) -> None:
    found = told[row.mode]

    assert logs.said(found, row.name) == [row.expected], f"{found[row.name]}\n{logs.sidecar(found)}"


@pytest.mark.parametrize("mode", MODES)
def test_a_job_completes(told: Mapping[str, Mapping[str, str]], world: Node, mode: str) -> None:
    assert "Complete" in _conditions(world, mode)


@pytest.mark.parametrize("long", LONG, ids=lambda long: long.name)
def test_no_call_fails_through_a_renewal_until_the_binding_ends(lived: Lived, long: Long) -> None:
    why = f"{lived.logs[long.name]}\n{logs.sidecar(lived.logs)}"

    assert lived.exchanges.get(long.binding, 0) > 1, why
    assert logs.said(lived.logs, long.name) == [*long.says, "gone"], why


def test_no_credential_ends_before_its_binding(lived: Lived) -> None:
    assert "CredentialEnded" not in logs.sidecar(lived.logs)


def test_no_credential_is_in_any_log(lived: Lived, told: Mapping[str, Mapping[str, str]]) -> None:
    text = "".join(logs.sidecar(found) for found in (lived.logs, *told.values()))

    assert "sha256:" in text
    assert not [secret for secret in ("hvs.", "eyJ", "ya29.", "ASIA") if secret in text]
