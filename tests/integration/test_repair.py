"""Pods that are older than their binding, on the real API server: made anew where the binding asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from apostille_testbed import chart
from integration.cluster import Cluster, Json, Team, injected
from integration.plain_client import until

pytestmark = pytest.mark.integration
TEMPLATES = ("controller/rbac", "restraints/controller")


@pytest.fixture
def allowed(cluster: Cluster) -> Iterator[None]:
    """The installation as it is with the chart's value controller.repair."""
    cluster.kubectl("apply", "-f", "-", input=chart.template("controller.repair=true", show=TEMPLATES))
    yield
    cluster.kubectl("apply", "-f", "-", input=chart.template(show=TEMPLATES))


def owned(team: Team, name: str, by: str, kind: str = "ReplicaSet", **labels: str) -> Json:
    """A pod as a controller makes it; none runs here that would make another."""
    made = team.pod(name=name)
    api = "batch/v1" if kind == "Job" else "apps/v1"
    reference = {"apiVersion": api, "kind": kind, "name": by, "uid": f"uid-of-{by}", "controller": True}
    made["metadata"] |= {"ownerReferences": [reference], "labels": labels}
    return made


def names(team: Team) -> dict[str, bool]:
    """The team's pods, and which have their identity."""
    answer = team.api.request("GET", f"/api/v1/namespaces/{team.ns}/pods")
    return {one["metadata"]["name"]: injected(one) for one in answer.body["items"]}


def reasons(team: Team) -> list[str]:
    """Of the Events of the namespace about bindings."""
    answer = team.api.request("GET", f"/apis/events.k8s.io/v1/namespaces/{team.ns}/events")
    return [one["reason"] for one in answer.body["items"] if one["regarding"]["kind"] == "WorkloadBinding"]


@pytest.mark.usefixtures("allowed")
def test_what_is_older_than_its_binding_is_made_anew_and_what_nobody_makes_again_stays(team: Team) -> None:
    team.declare(team.trust())
    team.until_ready(team.trust())
    before = [owned(team, "web-a", "web"), owned(team, "once-a", "once", "Job"), team.pod(name="alone")]
    held = owned(team, "held-a", "held", app="held")
    team.declare(*before, held)
    budget = {
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "held"},
        "spec": {"maxUnavailable": 0, "selector": {"matchLabels": {"app": "held"}}},
    }  # fmt: skip
    path = f"/apis/policy/v1/namespaces/{team.ns}/poddisruptionbudgets"
    assert team.api.request("POST", path, budget).ok
    # A pod that runs: of what does not, budgets keep nothing.
    bind = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "held-a"},
            "target": {"apiVersion": "v1", "kind": "Node", "name": "nowhere"}}  # fmt: skip
    assert team.api.request("POST", f"/api/v1/namespaces/{team.ns}/pods/held-a/binding", bind).ok
    running: dict[str, Any] = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
    patched = team.api.request(
        "PATCH", f"/api/v1/namespaces/{team.ns}/pods/held-a/status", running,
        content_type="application/strategic-merge-patch+json",
    )  # fmt: skip
    assert patched.ok, patched.message
    binding = team.binding(repair="Recreate")
    team.declare(binding)

    until(lambda: "web-a" not in names(team), "the ReplicaSet's pod is evicted", 0.1)
    team.declare(owned(team, "web-b", "web"))
    until(lambda: "RepairBlocked" in reasons(team), "the budget is asked", 0.1)

    def report() -> Json:
        found: Json = team.get(binding)["status"].get("repair") or {}
        return found

    until(lambda: report().get("left") == 2, "what is left alone is counted", 0.1)
    until(lambda: "disruption budget" in report()["message"], "what is waited for is said", 0.1)
    assert names(team) == {"web-b": True, "once-a": False, "alone": False, "held-a": False}
    assert "nobody makes another of them" in report()["message"]
    assert report()["waiting"] == 1
    assert "PodRecreated" in reasons(team)
