"""What policies add to a token request and to the creation of a pod, by the number of grants that they hold.

The policies are the ones that the controller writes, for that many service accounts in a tenth as many namespaces; one
of them asks, through one API server and through a second on the same etcd. The baseline is without any.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from apostille.core import grants
from apostille.core.grants import Grant, Protection
from apostille.core.settings import ClusterSettings
from apostille.model.identity import ServiceAccount
from apostille_bench.runner import Batch, Variant
from apostille_bench.scene import Caller, cpu_seconds, two_servers
from apostille_testbed import ControlPlane, control_plane
from apostille_testbed.client import path_of

# What comes first pays for what was just written.
REQUESTS, UNCOUNTED = 40, 10
NUMBERS = (10, 1_000, 5_000, 20_000)
AUDIENCE, OWN = "https://grants.example", "apostille-system"
# In the middle of the map, and of the shards.
ASKS = ServiceAccount("team-0500", "app-5")
WITHIN, BUSY, SETTLE = 180.0, 0.2, 20.0
_SETTINGS = ClusterSettings(own_namespace=OWN, client_config={"url": "https://127.0.0.1:1"}, ca_bundle="")


class Grants:
    """Each variant brings its policies into force before it measures."""

    name = "grants"
    question = "what do policies add to a token request and to a pod, with 10 to 20,000 grants in them?"

    @contextmanager
    def variants(self, say: Callable[[str], None]) -> Iterator[Sequence[Variant]]:
        """None is the baseline."""
        with control_plane(say=say) as plane, two_servers(plane) as (first, second):
            bench = _Bench(plane, first, second)
            yield tuple(
                Variant(
                    f"{number:,}" if number else "none",
                    f"{number:,} grants in force" if number else "no policy",
                    lambda number=number: bench.measure(number),  # type: ignore[misc]
                )
                for number in (0, *NUMBERS)
            )


class _Bench:
    def __init__(self, plane: ControlPlane, first: Caller, second: Caller) -> None:
        ids = plane.describe()["processes"]
        self._plane = plane
        self._servers = {"": (first, ids["apiserver"]), " by the second": (second, ids["apiserver-2"])}
        self._written: list[dict[str, Any]] = []
        for namespace in (ASKS.namespace, OWN):
            plane.create_namespace(namespace)
        base = f"/api/v1/namespaces/{ASKS.namespace}"
        plane.client.ensure(f"{base}/serviceaccounts", {"metadata": {"name": ASKS.name}})
        plane.client.ensure(f"{base}/pods", {"metadata": {"name": "asks"}, "spec": _pod_spec()})

    def measure(self, number: int) -> Batch:
        """Token requests, and dry runs of pods, both of which the policies judge."""
        self._hold(number)
        bound = {"apiVersion": "v1", "kind": "Pod", "name": "asks"}
        spec = {"audiences": [AUDIENCE], "expirationSeconds": 600, "boundObjectRef": bound}
        token = json.dumps({"spec": spec}).encode()
        pod = json.dumps({"metadata": {"generateName": "bench-"}, "spec": _pod_spec()}).encode()
        base = f"/api/v1/namespaces/{ASKS.namespace}"
        batch: dict[str, list[float]] = {}
        for by, (caller, pid) in self._servers.items():
            for what, path, body in (
                ("token request", f"{base}/serviceaccounts/{ASKS.name}/token", token),
                ("pod", f"{base}/pods?dryRun=All", pod),
            ):
                for _ in range(UNCOUNTED):
                    caller.post(path, body)
                before = cpu_seconds(pid)
                batch[f"{what}{by} ms"] = [caller.post(path, body)[0] for _ in range(REQUESTS)]
                batch[f"{what}{by} CPU us"] = [(cpu_seconds(pid) - before) / REQUESTS * 1e6]
        return batch

    def _hold(self, number: int) -> None:
        wanted = grants.policies([Protection(AUDIENCE, "Enforce")], _grants(number), _SETTINGS) if number else []
        if wanted == self._written:
            return
        for document in self._written:
            self._plane.client.request("DELETE", path_of(document))
        for document in wanted:
            self._plane.client.request("POST", path_of(document).rpartition("/")[0], document, WITHIN)
        probes = grants.probe_names(self._written) if len(self._written) > len(wanted) else grants.probe_names(wanted)
        self._written = wanted
        give_up = time.monotonic() + WITHIN
        while any(_answered(one, probes) != grants.expected_warnings(wanted) for one, _ in self._servers.values()):
            if time.monotonic() > give_up:
                raise TimeoutError(f"{number} grants are not in force after {WITHIN:g} s")
            time.sleep(0.1)
        # In force, they are still compiled again and the old ones collected: that is not what a request costs.
        settled = time.monotonic() + SETTLE
        while self._busy() > BUSY and time.monotonic() < settled:
            pass

    def _busy(self) -> float:
        """The share of a core that the busier of the servers uses, looked at for a second."""
        before = [cpu_seconds(pid) for _, pid in self._servers.values()]
        time.sleep(1)
        return max(cpu_seconds(pid) - was for (_, pid), was in zip(self._servers.values(), before, strict=True))


def _answered(caller: Caller, probes: Sequence[str]) -> frozenset[str]:
    warnings: list[str] = []
    for name in probes:
        body = json.dumps({"metadata": {"name": name}}).encode()
        warnings += caller.warnings(f"/api/v1/namespaces/{OWN}/configmaps?dryRun=All", body)
    return grants.warnings_of_policies(text[text.find("apostille: ") :] for text in warnings)


def _grants(number: int) -> list[Grant]:
    """The one that asks, and others around it."""
    others = [ServiceAccount(f"team-{i // 10:04}", f"app-{i % 10}") for i in range(number)]
    accounts = dict.fromkeys([ASKS, *others])
    return [Grant(account, AUDIENCE, 3600) for account in list(accounts)[:number]]


def _pod_spec() -> dict[str, Any]:
    token = {"serviceAccountToken": {"path": "token", "audience": AUDIENCE, "expirationSeconds": 3600}}
    return {
        "serviceAccountName": ASKS.name,
        "containers": [{"name": "app", "image": "app"}],
        "volumes": [{"name": "token", "projected": {"sources": [token]}}],
    }
