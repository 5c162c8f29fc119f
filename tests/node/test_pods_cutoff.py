"""Running pods follow their binding: what changes reaches them, what ends is taken from them, and nothing else."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from apostille_testbed import Node
from apostille_testbed.chart import NAMESPACE as SYSTEM
from apostille_testbed.node import network
from apostille_testbed.node.self_hosted import SelfHosted
from node.pods_scene import (
    NAMESPACE,
    accounts,
    allowed,
    application,
    at_the_server,
    binding,
    in_force,
    inside,
    kubectl,
    soon,
    vault_audience,
    vault_trust,
)
from node.scene import apply, forget, log, patch, ready, refusal, retarget, stored, until

pytestmark = pytest.mark.usefixtures("world")

TRUST, MOUNT = "vault-cutoff", "jwt-cutoff"
BINDINGS = {"mover": "moved", "leaver": "spare", "neighbour": "books"}
"""Service accounts, each with one pod of its name, to the binding of each."""


@pytest.fixture(scope="module")
def world(servers: SelfHosted) -> Iterator[SelfHosted]:
    """Three pods with a Vault token each, from a binding each."""
    node = servers.node
    accounts(node, *BINDINGS)
    in_force(
        servers,
        trust(servers),
        *(binding(name, TRUST, {"vault": {"role": "payments"}}, account) for account, name in BINDINGS.items()),
    )
    apply(node, *(application(account, account) for account in BINDINGS))
    for account in BINDINGS:
        ready(node, account, NAMESPACE)
    yield servers
    forget(node, NAMESPACE, TRUST)


def trust(world: SelfHosted) -> dict[str, Any]:
    return vault_trust(world, TRUST, MOUNT, [allowed("payments", *BINDINGS), allowed("audit", "mover")])


def credential(node: Node, account: str) -> str:
    """The Vault token in a pod's file; empty without the file."""
    return inside(
        node, account, "sh", "-c", f"cat /var/run/apostille.dev/{BINDINGS[account]}/token 2>/dev/null || true"
    )


def policies(world: SelfHosted, token: str) -> list[str]:
    """Those of a Vault token; none of one that is no more."""
    answer = world.vault.call("GET", "auth/token/lookup-self", token)
    return sorted(answer.body["data"]["policies"]) if answer.status == 200 else []


def assertion(node: Node, account: str) -> dict[str, Any]:
    """Claims of the token that the kubelet keeps for a pod's sidecar; none while the kubelet is away."""
    file = f"/var/run/secrets/apostille.dev/{BINDINGS[account]}/token"
    token = kubectl(node, "exec", account, "-c", "apostille-exchange", "--", "cat", file).stdout
    if not token:
        return {}
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def restarts(node: Node, account: str) -> list[int]:
    """Of all containers of a pod."""
    status = stored(node, f"pods/{account}", NAMESPACE)["status"]
    return [one["restartCount"] for one in status["initContainerStatuses"] + status["containerStatuses"]]


def test_a_changed_target_reaches_a_running_pod_without_a_restart(world: SelfHosted, node: Node) -> None:
    before = credential(node, "mover")
    assert policies(world, before) == ["default", "payments"]

    retarget(node, NAMESPACE, "moved", {"vault": {"role": "audit"}})
    until(lambda: "role-audit.json" in world.rendered(TRUST), "the rendered documents")
    at_the_server(world, trust(world))

    soon(lambda: policies(world, credential(node, "mover")) == ["audit", "default"], "a token of the other role")
    until(lambda: policies(world, before) == [], "the former token to be revoked")
    assert restarts(node, "mover") == [0, 0]
    retarget(node, NAMESPACE, "moved", {"vault": {"role": "payments"}})
    until(lambda: "role-audit.json" not in world.rendered(TRUST), "the rendered documents")
    at_the_server(world, trust(world))
    soon(lambda: policies(world, credential(node, "mover")) == ["default", "payments"], "a token of the former role")


def test_a_changed_frozen_part_makes_it_stale_and_status_says_so(world: SelfHosted, node: Node) -> None:
    """The life of the assertion is part of the pod's spec."""

    def counts() -> tuple[int, int]:
        pods = stored(node, "workloadbindings/moved", NAMESPACE)["status"]["pods"]
        return pods.get("injected", 0), pods.get("stale", 0)

    def assertions_live(seconds: int | None) -> None:
        change = {"spec": {"token": {"expirationSeconds": seconds}}}
        node.kubectl("patch", "wbind", "moved", "-n", NAMESPACE, "--type=merge", "-p", json.dumps(change))

    until(lambda: counts() == (1, 0), "the pod to be counted")
    held = credential(node, "mover")

    assertions_live(1800)

    until(lambda: counts() == (0, 1), "the pod to be stale")
    columns = kubectl(node, "get", "wbind", "moved").stdout.splitlines()
    shown = dict(zip(columns[0].split(), columns[1].split(), strict=False))
    assert (shown["INJECTED"], shown["STALE"]) == ("0", "1")
    assert credential(node, "mover") == held
    assertions_live(None)
    until(lambda: counts() == (1, 0), "the pod to be as declared again")


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A place that pods can reach, and who came."""
    came: list[str] = []
    with socket.create_server((network.MACHINE, 0)) as place:

        def listen() -> None:
            while True:
                try:
                    connection, (address, _) = place.accept()
                except OSError:
                    return
                came.append(address)
                connection.close()

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield f"https://{network.MACHINE}:{place.getsockname()[1]}/v1/auth/{MOUNT}/login", came
        place.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_recipe_with_another_endpoint_sends_the_token_nowhere_else(
    world: SelfHosted, node: Node, listener: tuple[str, list[str]]
) -> None:
    """Written with the controller's own rights, while no controller corrects it: the worst that can happen."""
    endpoint, came = listener
    token = node.service_account_kubeconfig(SYSTEM, "apostille-controller")
    node.kubectl("scale", "deployment/apostille-controller", f"--namespace={SYSTEM}", "--replicas=0")
    node.kubectl(
        "wait", "--for=delete", "pod", "--selector=app.kubernetes.io/component=controller", f"--namespace={SYSTEM}",
        "--timeout=60s",
    )  # fmt: skip
    try:
        plan = json.loads(stored(node, "pods/mover", NAMESPACE)["metadata"]["annotations"]["apostille.dev/plan"])

        def hand(recipe: dict[str, Any]) -> None:
            plan["bindings"]["moved"]["recipe"] = recipe
            path = f"/api/v1/namespaces/{NAMESPACE}/pods/mover"
            change = {"op": "replace", "path": "/metadata/annotations/apostille.dev~1plan", "value": json.dumps(plan)}
            assert patch(node, token, path, [change]) == ""

        def said() -> str:
            return log(node, "mover", NAMESPACE, "apostille-exchange")

        hand({"parameters": {"role": "payments", "endpoint": endpoint}, "sessionSeconds": 3600})
        soon(lambda: "RecipeRefused" in said(), "the recipe to be refused")
        before = credential(node, "mover")
        # One that it follows, a shorter session: whatever else it says, the login is where it always was.
        hand({"parameters": {"role": "payments"}, "sessionSeconds": 1800, "endpoint": endpoint})
        soon(lambda: credential(node, "mover") not in ("", before), "another token")

        assert policies(world, credential(node, "mover")) == ["default", "payments"]
        assert came == []
        # It would have been seen.
        assert "Connection" not in inside(node, "mover", "python3", "-c", _KNOCK, endpoint)
        until(lambda: len(came) == 1, "the one who knocked")
    finally:
        node.kubectl("scale", "deployment/apostille-controller", f"--namespace={SYSTEM}", "--replicas=2")
        node.kubectl("rollout", "status", "deployment/apostille-controller", f"--namespace={SYSTEM}", "--timeout=60s")


_KNOCK = """
import socket, sys, urllib.parse
place = urllib.parse.urlsplit(sys.argv[1])
socket.create_connection((place.hostname, place.port)).close()
"""


@pytest.fixture(scope="module")
def left(world: SelfHosted) -> tuple[SelfHosted, str, dict[str, Any]]:
    """The binding of ``leaver`` is deleted; with the Vault token and the assertion that its pod had."""
    node = world.node
    held, before = credential(node, "leaver"), assertion(node, "leaver")
    assert policies(world, held) == ["default", "payments"]
    node.kubectl("delete", "wbind", "spare", f"--namespace={NAMESPACE}")
    return world, held, before


def request_token(node: Node, account: str) -> str:
    """What a node asks for; returns the refusal, or nothing."""
    return refusal(node, account, NAMESPACE, vault_audience(MOUNT), pod=account)


def test_a_deleted_binding_takes_the_credential_from_the_running_pod(
    left: tuple[SelfHosted, str, dict[str, Any]], node: Node
) -> None:
    world, held, _ = left

    soon(lambda: credential(node, "leaver") == "", "the file to be dropped")
    until(lambda: policies(world, held) == [], "the token to be revoked")
    until(
        lambda: "no live WorkloadBinding grants service account leaver" in request_token(node, "leaver"),
        "the next token request to be refused",
    )

    assert restarts(node, "leaver") == [0, 0]
    assert held not in kubectl(node, "logs", "leaver", "-c", "apostille-exchange").stdout
    assert request_token(node, "neighbour") == ""
    assert policies(world, credential(node, "neighbour")) == ["default", "payments"]


def test_after_a_restart_of_the_kubelet_it_runs_without_a_new_token_and_says_why(
    left: tuple[SelfHosted, str, dict[str, Any]], node: Node
) -> None:
    world, _, before = left
    neighbours = assertion(node, "neighbour")
    uids = {account: stored(node, f"pods/{account}", NAMESPACE)["metadata"]["uid"] for account in BINDINGS}
    until(lambda: "no live WorkloadBinding" in request_token(node, "leaver"), "the policies")

    node.restart_kubelet()

    soon(
        lambda: assertion(node, "neighbour").get("iat", 0) > neighbours["iat"], "the neighbour's token to be refreshed"
    )

    def described() -> str:
        return " ".join(kubectl(node, "describe", "pod", "leaver").stdout.split())

    soon(lambda: "no live WorkloadBinding grants service account leaver" in described(), "the event")
    assert "FailedMount" in described()
    assert assertion(node, "leaver") == before
    assert {account: stored(node, f"pods/{account}", NAMESPACE)["metadata"]["uid"] for account in BINDINGS} == uids
    assert stored(node, "pods/leaver", NAMESPACE)["status"]["phase"] == "Running"
    assert restarts(node, "leaver") == [0, 0]
    assert policies(world, credential(node, "neighbour")) == ["default", "payments"]
