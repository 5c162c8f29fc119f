"""Everything a workload needs, in one `kubectl apply`, and what became of its pod."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from apostille_testbed import ControlPlane
from integration.cluster import ACCOUNT, injected

Json = dict[str, Any]
Workload = Literal["Pod", "ReplicaSet", "Job"]
PATIENCE = 60.0
"""Seconds that a controller may take for its retries before a test gives up."""

CONTAINERS = [
    {"name": name, "image": "python:3.13-slim", "command": ["sleep", "infinity"]} for name in ("app", "second")
]


def arn(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def trust(name: str, *allow: tuple[str, str], mode: str = "Enforce") -> Json:
    """Allows (namespace, service account) pairs the role ``r``."""
    return {
        "apiVersion": "apostille.dev/v1alpha1",
        "kind": "FederationTrust",
        "metadata": {"name": name},
        "spec": {
            "relyingParty": {"type": "AWS", "aws": {"accountID": ACCOUNT, "region": "eu-west-1"}},
            "audience": f"https://{name}.sts.example",
            "enforcement": {"mode": mode},
            "allow": [
                {"namespace": namespace, "serviceAccounts": [account], "targets": [arn("r")]}
                for namespace, account in allow
            ],
        },
    }


def binding(namespace: str, of_trust: str, account: str = "app", name: str = "") -> Json:
    return {
        "apiVersion": "apostille.dev/v1alpha1",
        "kind": "WorkloadBinding",
        "metadata": {"name": name or of_trust, "namespace": namespace},
        "spec": {
            "trustRef": {"name": of_trust},
            "subject": {"serviceAccountNames": [account]},
            "target": {"aws": {"roleARN": arn("r")}},
        },
    }


def namespace(name: str, *accounts: str) -> list[Json]:
    """The namespace and its service accounts."""
    spaces: list[Json] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}]
    return spaces + [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, "namespace": name}}
        for account in accounts
    ]


def workload(kind: Workload, namespace: str, account: str = "app", name: str = "app") -> Json:
    spec: Json = {"serviceAccountName": account, "containers": CONTAINERS}
    template: Json = {"metadata": {"labels": {"app": name}}, "spec": spec}
    metadata = {"name": name, "namespace": namespace}
    if kind == "Pod":
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}
    if kind == "Job":
        spec["restartPolicy"] = "Never"
        return {"apiVersion": "batch/v1", "kind": kind, "metadata": metadata, "spec": {"template": template}}
    selector = {"matchLabels": {"app": name}}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": metadata,
        "spec": {"replicas": 1, "selector": selector, "template": template},
    }


@dataclass
class Outcomes:
    """What happened to how many workloads, by namespace."""

    at_first: list[str] = field(default_factory=list)
    after_refusal: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        slowest = sorted(self.seconds)
        return (
            f"{len(self.at_first)} at first, {len(self.after_refusal)} refused with 'activating' and then, "
            f"{len(self.without)} without, {len(self.other)} otherwise; kubectl apply took "
            f"{slowest[len(slowest) // 2]:.2f} s at the median, {slowest[-1]:.2f} s at most"
        )


def apply(plane: ControlPlane, documents: list[Json], outcomes: Outcomes) -> None:
    """One `kubectl apply` of several documents whose last is the workload; then what became of the workload's pod."""
    text = "\n---\n".join(json.dumps(document) for document in documents)
    where, kind = documents[-1]["metadata"]["namespace"], documents[-1]["kind"]
    began = time.monotonic()
    done = plane.kubectl("apply", "-f", "-", input=text, check=False)
    outcomes.seconds.append(time.monotonic() - began)
    give_up = time.monotonic() + PATIENCE
    refused = False
    while kind == "Pod" and done.returncode:
        if not _activating(done.stderr) or time.monotonic() > give_up:
            outcomes.other.append(f"{where}: {done.stderr}")
            return
        refused = True
        time.sleep(1.0)  # as who applies it again, or as a controller's back-off
        done = plane.kubectl("apply", "-f", "-", input=text, check=False)
    if done.returncode:
        outcomes.other.append(f"{where}: {done.stderr}")
        return
    while not (pods := pods_of(plane, where)):
        if time.monotonic() > give_up:
            outcomes.other.append(f"{where}: no pod; {_refusals(plane, where)}")
            return
        time.sleep(0.2)
    refused = refused or bool(_refusals(plane, where))
    if not all(injected(pod) for pod in pods):
        outcomes.without.append(where)
    elif refused:
        outcomes.after_refusal.append(where)
    else:
        outcomes.at_first.append(where)


def pods_of(plane: ControlPlane, namespace: str = "") -> list[Json]:
    """All pods of a namespace, or of all."""
    path = f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"
    found: list[Json] = plane.client.request("GET", path)["items"]
    return found


def _activating(message: str) -> bool:
    return re.search(r"is activating: .*retry", message) is not None


def _refusals(plane: ControlPlane, namespace: str) -> list[str]:
    events = plane.client.request("GET", f"/api/v1/namespaces/{namespace}/events")["items"]
    return [event["message"] for event in events if event["reason"] == "FailedCreate" and _activating(event["message"])]
