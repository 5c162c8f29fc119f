"""What policies add to a token request and to the creation of a pod, by the number of grants that they hold.

The policies are the ones that the controller writes, for that many service accounts in a tenth as many namespaces; one
of them asks. The baseline is an API server without any.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from apostille.core import grants
from apostille.core.grants import Grant, Protection
from apostille.core.settings import ClusterSettings
from apostille.model.identity import ServiceAccount
from apostille_bench.runner import Batch, Variant
from apostille_bench.scene import Caller
from apostille_testbed import ControlPlane, control_plane

REQUESTS = 40
NUMBERS = (10, 1_000, 5_000, 20_000)
AUDIENCE, OWN = "https://grants.example", "apostille-system"
# In the middle of the map, and of the shards.
ASKS = ServiceAccount("team-0500", "app-5")
WITHIN = 180.0
_POLICIES = "/apis/admissionregistration.k8s.io/v1"
_SETTINGS = ClusterSettings(own_namespace=OWN, client_config={"url": "https://127.0.0.1:1"}, ca_bundle="")


class Grants:
    """Each variant brings its policies into force before it measures."""

    name = "grants"
    question = "what do policies add to a token request and to a pod, with 10 to 20,000 grants in them?"

    @contextmanager
    def variants(self, say: Callable[[str], None]) -> Iterator[Sequence[Variant]]:
        """None is the baseline."""
        with control_plane(say=say) as plane:
            admin = plane.authority.client("bench", "bench", ["system:masters"])
            with closing(Caller(plane.url, plane.ca, admin)) as caller:
                bench = _Bench(plane, caller)
                yield tuple(
                    Variant(
                        f"{number:,}" if number else "none",
                        f"{number:,} grants in force" if number else "no policy",
                        lambda number=number: bench.measure(number),  # type: ignore[misc]
                    )
                    for number in (0, *NUMBERS)
                )


class _Bench:
    def __init__(self, plane: ControlPlane, caller: Caller) -> None:
        self._plane, self._caller = plane, caller
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
        return {
            "token request ms": [
                self._caller.post(f"{base}/serviceaccounts/{ASKS.name}/token", token)[0] for _ in range(REQUESTS)
            ],
            "pod ms": [self._caller.post(f"{base}/pods?dryRun=All", pod)[0] for _ in range(REQUESTS)],
        }

    def _hold(self, number: int) -> None:
        wanted = grants.policies([Protection(AUDIENCE, "Enforce")], _grants(number), _SETTINGS) if number else []
        if wanted == self._written:
            return
        for document in self._written:
            self._plane.client.request("DELETE", _path(document))
        for document in wanted:
            self._plane.client.request("POST", _path(document).rpartition("/")[0], document)
        probes = grants.probe_names(self._written) if len(self._written) > len(wanted) else grants.probe_names(wanted)
        self._written = wanted
        give_up = time.monotonic() + WITHIN
        while self._answered(probes) != grants.expected_warnings(wanted):
            if time.monotonic() > give_up:
                raise TimeoutError(f"{number} grants are not in force after {WITHIN:g} s")
            time.sleep(0.1)

    def _answered(self, probes: Sequence[str]) -> frozenset[str]:
        warnings: list[str] = []
        for name in probes:
            body = json.dumps({"metadata": {"name": name}}).encode()
            warnings += self._caller.warnings(f"/api/v1/namespaces/{OWN}/configmaps?dryRun=All", body)
        return grants.warnings_of_policies(text[text.find("apostille: ") :] for text in warnings)


def _grants(number: int) -> list[Grant]:
    """The one that asks, and others around it."""
    others = [ServiceAccount(f"team-{i // 10:04}", f"app-{i % 10}") for i in range(number)]
    accounts = dict.fromkeys([ASKS, *others])
    return [Grant(account, AUDIENCE, 3600) for account in list(accounts)[:number]]


def _path(document: dict[str, Any]) -> str:
    plural = {
        "ValidatingAdmissionPolicy": "validatingadmissionpolicies",
        "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
    }[document["kind"]]
    return f"{_POLICIES}/{plural}/{document['metadata']['name']}"


def _pod_spec() -> dict[str, Any]:
    token = {"serviceAccountToken": {"path": "token", "audience": AUDIENCE, "expirationSeconds": 3600}}
    return {
        "serviceAccountName": ASKS.name,
        "containers": [{"name": "app", "image": "app"}],
        "volumes": [{"name": "token", "projected": {"sources": [token]}}],
    }
