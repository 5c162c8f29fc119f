"""What a deleted binding does to the token of a running pod, when its kubelet asks again."""

from __future__ import annotations

import json
from typing import Any

from apostille_testbed import Node
from apostille_testbed.chart import Release
from apostille_testbed.node.archive import BUSYBOX
from node.scene import apply, pod, ready, until

SPACE = "cutoff"
AUDIENCE = f"https://{SPACE}.sts.example"
ACCOUNTS = ("ended", "neighbour")


def declarations() -> list[dict[str, Any]]:
    """A trust that is enforced, and a binding for each account."""
    roles = {name: f"arn:aws:iam::123456789012:role/{name}" for name in ACCOUNTS}
    trust = {
        "apiVersion": "apostille.dev/v1alpha1",
        "kind": "FederationTrust",
        "metadata": {"name": SPACE},
        "spec": {
            "relyingParty": {"type": "AWS", "aws": {"accountID": "123456789012", "region": "eu-west-1"}},
            "audience": AUDIENCE,
            "enforcement": {"mode": "Enforce"},
            "allow": [
                {"namespace": SPACE, "serviceAccounts": [name], "targets": [role]} for name, role in roles.items()
            ],
        },
    }
    bindings = [
        {
            "apiVersion": "apostille.dev/v1alpha1",
            "kind": "WorkloadBinding",
            "metadata": {"name": name, "namespace": SPACE},
            "spec": {
                "trustRef": {"name": SPACE},
                "subject": {"serviceAccountNames": [name]},
                "target": {"aws": {"roleARN": role}},
            },
        }
        for name, role in roles.items()
    ]
    return [trust, *bindings]


def test_after_a_restart_of_the_kubelet_only_the_neighbours_token_is_renewed(node: Node, release: Release) -> None:
    def token(name: str) -> str:
        # Nothing for the moments in which the kubelet does not know its pods yet.
        path = f"/var/run/secrets/apostille.dev/{name}/token"
        return node.kubectl("exec", name, f"--namespace={SPACE}", "--", "cat", path, check=False).stdout

    def refused() -> bool:
        asked = node.kubectl(
            "create", "token", "ended", f"--namespace={SPACE}", f"--audience={AUDIENCE}",
            "--bound-object-kind=Pod", "--bound-object-name=ended", check=False,
        )  # fmt: skip
        return "no live WorkloadBinding" in asked.stderr

    node.create_namespace(SPACE)
    for name in ACCOUNTS:
        node.kubectl("create", "serviceaccount", name, f"--namespace={SPACE}")
    trust, *bindings = declarations()
    apply(node, trust)
    node.kubectl("wait", "--for=condition=Ready", f"ftrust/{SPACE}", "--timeout=60s")
    apply(node, *bindings)
    node.kubectl("wait", "--for=condition=Ready", "wbind", "--all", f"--namespace={SPACE}", "--timeout=60s")
    apply(node, *(pod(name, SPACE, "sleep", "3600", image=BUSYBOX, serviceAccountName=name) for name in ACCOUNTS))
    for name in ACCOUNTS:
        ready(node, name, SPACE)
    before = {name: token(name) for name in ACCOUNTS}
    assert all(before.values())

    node.kubectl("delete", "wbind", "ended", f"--namespace={SPACE}", "--timeout=60s")
    until(refused, "the policies to refuse")
    node.restart_kubelet()

    until(
        lambda: token("neighbour") not in ("", before["neighbour"]), "the neighbour's token to be renewed", within=120
    )
    until(
        lambda: (
            "no live WorkloadBinding grants service account ended"
            in node.kubectl("describe", "pod", "ended", f"--namespace={SPACE}").stdout
        ),
        "the refusal to be told on the pod",
        within=120,
    )
    assert token("ended") == before["ended"]
    status = json.loads(node.kubectl("get", "pod", "ended", f"--namespace={SPACE}", "-o", "json").stdout)["status"]
    assert status["phase"] == "Running"
    assert status["containerStatuses"][0]["restartCount"] == 0
