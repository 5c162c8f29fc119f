"""What a pod's creation costs through the API server: elsewhere, allowed but unbound, bound."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager

from apostille_bench.runner import Batch, Variant
from apostille_bench.scene import Caller, quickstart

REQUESTS = 40


class Pods:
    """Dry runs: they pass all of admission and leave nothing behind."""

    name = "pods"
    question = "what does Apostille add to the creation of a pod, by how its service account stands?"

    @contextmanager
    def variants(self, say: Callable[[str], None]) -> Iterator[Sequence[Variant]]:
        """Elsewhere is the baseline: the API server asks nobody."""
        with quickstart(say) as (plane, _):
            for account in ("stranger", "unbound"):
                plane.client.ensure("/api/v1/namespaces/payments/serviceaccounts", {"metadata": {"name": account}})
            trust = plane.client.request("GET", "/apis/apostille.dev/v1alpha1/federationtrusts/aws-prod")
            allow = trust["spec"]["allow"]
            allow[0]["serviceAccounts"].append("unbound")
            plane.kubectl("patch", "ftrust", "aws-prod", "--type=merge", "-p", json.dumps({"spec": {"allow": allow}}))
            plane.kubectl("wait", "--timeout=60s", "--for=condition=Ready", "ftrust/aws-prod")
            admin = plane.authority.client("bench", "bench", ["system:masters"])
            with closing(Caller(plane.url, plane.ca, admin)) as caller:
                yield tuple(
                    Variant(name, what, lambda account=account: _batch(caller, account))  # type: ignore[misc]
                    for name, what, account in (
                        ("elsewhere", "a service account that no trust names", "stranger"),
                        ("allowed", "named by a trust, without a binding", "unbound"),
                        ("bound", "injected for the SDK", "reader"),
                    )
                )


def _batch(caller: Caller, account: str) -> Batch:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "bench-", "namespace": "payments"},
        "spec": {"serviceAccountName": account, "containers": [{"name": "app", "image": "app"}]},
    }
    body = json.dumps(pod).encode()
    latencies = []
    for _ in range(REQUESTS):
        milliseconds, made = caller.post("/api/v1/namespaces/payments/pods?dryRun=All", body)
        if ("apostille.dev/injected" in (made["metadata"].get("labels") or {})) != (account == "reader"):
            raise RuntimeError(f"a pod of {account} was not treated as it should be")
        latencies.append(milliseconds)
    return {"latency ms": latencies}
