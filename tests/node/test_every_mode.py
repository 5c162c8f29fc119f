"""Pods with every mode at every party get a working credential through unmodified SDKs, and lose it with its binding.

All pods are begun together: a Job a mode, with a binding and containers for each party, and one pod of programs that
call without a pause, through renewals, until their bindings are deleted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
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
from node.every_mode import (
    AT_THE_PARTY,
    JOBS,
    LIFE,
    LIVES,
    LONG,
    MARK,
    MODES,
    OTHER,
    PARTIES,
    ROWS,
    Long,
    Row,
    bindings,
    prepare,
    program,
    subjects,
    trust,
)
from node.pods_scene import accounts
from node.scene import RESTRICTED, apply, trusting, until

# Not CI's before it has run on a node beside nothing else: its waits are for a machine that is its own.
pytestmark = pytest.mark.soak

_AUTHORITIES = "/authorities/ca.pem"
_TRUSTING = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
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
        apply(node, _config_map(name, everybody.authorities(parties)))
    accounts(node, *(mode.lower() for mode in MODES), namespace=JOBS)
    accounts(node, LIVES, namespace=LIVES)
    apply(node, *(trust(kind, parties) for kind in PARTIES))
    node.kubectl("wait", "--for=condition=Ready", "ftrust", "--all", "--timeout=60s")
    apply(node, *bindings())
    node.kubectl("wait", "--for=condition=Ready", "wbind", "--all", "--all-namespaces", "--timeout=90s")
    with ThreadPoolExecutor(len(PARTIES)) as pool:
        list(pool.map(lambda kind: _at_the_party(node, parties, kind), PARTIES))
    hosts = everybody.aliases(parties)
    refused = apply(node, _pod(LIVES, LIVES, LONG, hosts), *(_job(mode, hosts) for mode in MODES))
    assert "PodSecurity" not in refused
    return node


def _at_the_party(node: Node, parties: Parties, kind: str) -> None:
    files: dict[str, str] = {}

    def rendered() -> bool:
        files.clear()
        files.update(everybody.rendered(node, kind.lower()))
        return all(json.dumps(subject)[1:-1] in json.dumps(files) for subject in subjects(kind))

    until(rendered, f"the documents for {kind}")
    AT_THE_PARTY[kind](parties, files)


def _config_map(namespace: str, text: str) -> dict[str, Any]:
    metadata = {"name": "authorities", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"ca.pem": text}}


def _pod(name: str, namespace: str, rows: Any, hosts: list[dict[str, Any]]) -> dict[str, Any]:
    spec = {
        "restartPolicy": "Never",
        "serviceAccountName": name,
        "terminationGracePeriodSeconds": 1,
        "hostAliases": hosts,
        "volumes": [
            {"name": "authorities", "configMap": {"name": "authorities"}},
            {"name": "tmp", "emptyDir": {}},
        ],
        "containers": [_container(row) for row in rows],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def _container(row: Row | Long) -> dict[str, Any]:
    return {
        "name": row.name,
        "image": sdks.SDKS,
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", program(row)],
        "env": [{"name": name, "value": _AUTHORITIES} for name in _TRUSTING],
        "volumeMounts": [{"name": "authorities", "mountPath": "/authorities"}, {"name": "tmp", "mountPath": "/tmp"}],
        "securityContext": RESTRICTED,
    }


def _job(mode: str, hosts: list[dict[str, Any]]) -> dict[str, Any]:
    template = _pod(mode.lower(), JOBS, [row for row in ROWS if row.mode == mode], hosts)["spec"]
    metadata = {"name": mode.lower(), "namespace": JOBS}
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata,
        "spec": {"backoffLimit": 0, "template": {"spec": template}},
    }  # fmt: skip


def _logs(node: Node, namespace: str, which: str) -> Mapping[str, str]:
    """Container to what it wrote; ``which`` is the name of a pod, or a label selector."""
    every = ["--all-containers", "--prefix", "--tail=-1", "--max-log-requests=30"]
    of = f"--selector={which}" if "=" in which else which
    lines = node.kubectl("logs", f"--namespace={namespace}", of, *every, check=False).stdout.splitlines()
    made: dict[str, str] = {}
    for line in lines:
        place, _, text = line.partition("] ")
        name = place.rpartition("/")[2]
        made[name] = f"{made.get(name, '')}{text}\n"
    return made


def _said(logs: Mapping[str, str], container: str) -> list[str]:
    return [line.removeprefix(MARK) for line in logs.get(container, "").splitlines() if line.startswith(MARK)]


def _sidecar(logs: Mapping[str, str]) -> str:
    return logs.get("apostille-exchange") or logs.get("apostille-init", "")


def _exchanges(logs: Mapping[str, str]) -> Counter[str]:
    """Binding to how often the sidecar got a credential for it, or a longer life of one."""
    lines = [json.loads(line) for line in _sidecar(logs).splitlines() if line.startswith("{")]
    return Counter(line["binding"] for line in lines if line.get("result") in ("Exchanged", "Renewed"))


@pytest.fixture(scope="module")
def renewed(world: Node, parties: Parties) -> Node:
    """What makes new credentials where a short life does not: new assertions for Hydra, another role at AWS."""
    names = {long.party.lower() for long in LONG}
    with suppress(TimeoutError):
        until(lambda: names == set(_exchanges(_logs(world, LIVES, LIVES))), "first credentials", within=_WITHIN)
    # It then asks for every token anew, instead of at four fifths of its life.
    world.restart_kubelet()
    change = json.dumps({"spec": {"target": {"aws": {"roleARN": OTHER}}}})
    world.kubectl("patch", "wbind", "aws", f"--namespace={LIVES}", "--type=merge", "-p", change)
    until(lambda: "role-archive.json" in everybody.rendered(world, "aws"), "the documents of the other role")
    _at_the_party(world, parties, "AWS")
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
    return {mode: _logs(renewed, JOBS, f"job-name={mode.lower()}") for mode in MODES}


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
        logs = _logs(renewed, LIVES, LIVES)
        found = _exchanges(logs)
        return all(found[name] > 1 for name in names) and all(
            long.says[-1] in _said(logs, long.name) for long in LONG
        )  # fmt: skip

    with suppress(TimeoutError):
        until(again, "renewals", within=_WITHIN)
    before = _exchanges(_logs(renewed, LIVES, LIVES))
    renewed.kubectl("delete", "wbind", "--all", f"--namespace={LIVES}", "--timeout=60s")

    def ended() -> bool:
        pod = json.loads(renewed.kubectl("get", "pod", LIVES, f"--namespace={LIVES}", "-o", "json").stdout)
        return pod["status"]["phase"] in ("Succeeded", "Failed")

    with suppress(TimeoutError):
        until(ended, "every program to find its credential gone", within=_WITHIN)
    return Lived(_logs(renewed, LIVES, LIVES), before)


def test_the_table_has_every_mode_of_every_party() -> None:
    """But an SDK that exchanges at Hydra: none does, as it would present an assertion twice."""
    there = {(row.party, row.mode) for row in ROWS}
    wanted = {(party.name, "TokenOnly") for party in REGISTRY}
    wanted |= {(party.name, "SDK") for party in REGISTRY if "SDK" in party.deliveries}
    exchanging = {party.name for party in REGISTRY if "Sidecar" in party.deliveries}
    wanted |= {(name, mode) for name in exchanging for mode in ("Sidecar", "Init")}
    assert there == wanted - {("OAuth", "SDK")}
    assert {long.party for long in LONG} == exchanging


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.mode}-{row.name}")
def test_a_credential_works(told: Mapping[str, Mapping[str, str]], row: Row) -> None:
    logs = told[row.mode]

    assert _said(logs, row.name) == [row.expected], f"{logs.get(row.name)}\n{_sidecar(logs)}"


@pytest.mark.parametrize("mode", MODES)
def test_a_job_completes(told: Mapping[str, Mapping[str, str]], world: Node, mode: str) -> None:
    done = json.loads(world.kubectl("get", "job", mode.lower(), f"--namespace={JOBS}", "-o", "json").stdout)

    assert "Complete" in [met["type"] for met in done["status"].get("conditions", []) if met["status"] == "True"]


@pytest.mark.parametrize("long", LONG, ids=lambda long: long.name)
def test_no_call_fails_through_a_renewal_until_the_binding_ends(lived: Lived, long: Long) -> None:
    why = f"{lived.logs.get(long.name)}\n{_sidecar(lived.logs)}"

    assert lived.exchanges.get(long.party.lower(), 0) > 1, why
    assert _said(lived.logs, long.name) == [*long.says, "gone"], why


def test_no_credential_is_in_any_log(lived: Lived, told: Mapping[str, Mapping[str, str]]) -> None:
    text = "".join(_sidecar(logs) for logs in (lived.logs, *told.values()))

    assert "sha256:" in text
    assert not [secret for secret in ("hvs.", "eyJ", "ya29.", "ASIA") if secret in text]
