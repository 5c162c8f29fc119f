"""How soon a deleted binding is felt: the credential in a running pod, and the next token.

Before Apostille nobody took a token back, so there is no other product's figure to stand beside. The baseline is the
floor of the platform, made by hand on the same node and in the same pod: what a cluster's administrator gets who
writes the same two changes with nobody in between.

* ``dropped``: an annotation is changed, and the kubelet carries it into a file of the running pod;
* ``refused``: a ValidatingAdmissionPolicy is changed to refuse, and the API server, which polls policies, refuses a
  token request.

Ours begins with the deletion of the binding and has the watch, the controller, both of these, and the sidecar in it.
``revoked`` has no floor: it ends when Vault says that the token is no more. All times are from the moment when the
request for the change is sent.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from apostille_bench import floor
from apostille_bench.runner import Batch, Variant
from apostille_bench.tokens import granted
from apostille_bench.waiting import until
from apostille_testbed import node
from apostille_testbed.chart import Release
from apostille_testbed.node import derived, self_hosted
from apostille_testbed.node.self_hosted import ALIASES, VAULT, SelfHosted

ROOT = Path(__file__).parents[3]
FILES = ROOT / "examples" / "demo-node"
MOUNT = "jwt"
AUDIENCE = f"{VAULT}/v1/auth/{MOUNT}"
POLICY = 'path "secret/data/payments" { capabilities = ["read"] }'
_BINDINGS = "/apis/apostille.dev/v1alpha1/namespaces/payments/workloadbindings"
_until = partial(until, within=120.0, pause=0.02)

# Both files are looked at a hundred times a second; a line is the time, which file, and whether it is there.
_WATCHES = """
import os, time
def look(path):
    try:
        return open(path).read()
    except OSError:
        return ""
paths = {"knob": "/knob/value", "token": os.environ["VAULT_TOKEN_FILE"]}
seen = {name: look(path) for name, path in paths.items()}
print(time.time(), "watch", "begins", flush=True)
while True:
    for name, path in paths.items():
        now = look(path)
        if now != seen[name]:
            print(time.time(), name, now if name == "knob" else "there" if now else "gone", flush=True)
        seen[name] = now
    time.sleep(0.01)
"""


class Cutoff:
    """One change a batch; the pod and what it holds are the same all the time."""

    name = "cutoff"
    question = "how soon after its binding is deleted has a pod no credential and gets no token?"

    @contextmanager
    def variants(self, say: Callable[[str], None]) -> Iterator[Sequence[Variant]]:
        """The floor is the baseline."""
        with ExitStack() as stack:
            running = stack.enter_context(node(say=say))
            stack.enter_context(Release(running, say=say))
            running.load(derived.application(say))
            servers = stack.enter_context(self_hosted.self_hosted(running, say))
            pool = stack.enter_context(ThreadPoolExecutor(3))
            bench = _Bench(servers, pool)
            bench.declare()
            yield (
                Variant("floor", "the same two changes by hand: an annotation, a policy", bench.by_hand),
                Variant("apostille", "kubectl delete wbind, for a pod with the sidecar's Vault token", bench.delete),
            )


class _Bench:
    def __init__(self, servers: SelfHosted, pool: ThreadPoolExecutor) -> None:
        self._servers, self._node, self._pool = servers, servers.node, pool
        self._turn = 0

    def declare(self) -> None:
        """Everything that the batches change."""
        plane, vault = self._node, self._servers.vault
        vault.write_policy("payments", POLICY)
        trusts = yaml.safe_load_all((FILES / "10-trusts.yaml").read_text())
        trust = next(one for one in trusts if one["metadata"]["name"] == "vault")
        trust["spec"]["relyingParty"]["vault"]["caBundle"] = vault.ca.read_text()
        bindings = yaml.safe_load_all((FILES / "20-bindings.yaml").read_text())
        self._binding = next(one for one in bindings if one["metadata"]["name"] == "database")
        plane.kubectl("apply", "-f", FILES / "00-namespace.yaml")
        self._apply(trust)
        plane.kubectl("wait", "--for=condition=Ready", "ftrust/vault", "--timeout=60s")
        self._bind()
        _until(lambda: "role-payments.json" in self._servers.rendered("vault"), "the rendered documents")
        vault.apply(MOUNT, self._servers.rendered("vault"))
        floor.declare(self._node.client)
        self._apply(_pod())
        plane.kubectl("wait", "--for=condition=Ready", "pod/watches", "-n", "payments", "--timeout=120s")
        # A container is Ready once it is started: what its program has not looked at yet cannot change.
        self._told("watch", "begins", 0)

    def by_hand(self) -> Batch:
        """An annotation, then a policy, which is taken back."""
        self._turn += 1
        value = f"turn-{self._turn}"
        began = time.time()
        self._merge("/api/v1/namespaces/payments/pods/watches", {"metadata": {"annotations": {"bench": value}}})
        dropped = self._told("knob", value, began) - began
        began = time.time()
        floor.refuse(self._node.client, True)
        refused = self._refused(floor.AUDIENCE) - began
        floor.refuse(self._node.client, False)
        _until(lambda: self._granted(floor.AUDIENCE), "the policy to grant again")
        return {"dropped s": [dropped], "refused s": [refused]}

    def delete(self) -> Batch:
        """The binding, which is declared again."""
        token = self._held()
        began = time.time()
        refused = self._pool.submit(self._refused, AUDIENCE)
        revoked = self._pool.submit(self._revoked, token)
        self._node.client.request("DELETE", f"{_BINDINGS}/database")
        dropped = self._told("token", "gone", began)
        batch = {
            "dropped s": [dropped - began],
            "refused s": [refused.result() - began],
            "revoked s": [revoked.result() - began],
        }
        again = time.time()
        self._bind()
        self._told("token", "there", again)
        _until(lambda: self._granted(AUDIENCE), "the grant")
        return batch

    def _bind(self) -> None:
        self._apply(self._binding)
        self._node.kubectl("wait", "--for=condition=Ready", "wbind/database", "-n", "payments", "--timeout=60s")

    def _told(self, what: str, value: str, since: float) -> float:
        """When the pod saw it, by its own clock, which is this machine's."""
        found: list[float] = []

        def seen() -> bool:
            log = self._node.kubectl("logs", "watches", "-n", "payments", "-c", "watches", "--tail=20").stdout
            for line in log.splitlines():
                when, name, text = line.split()
                if name == what and text == value and float(when) >= since:
                    found.append(float(when))
            return bool(found)

        _until(seen, f"{what} to be {value}")
        return found[0]

    def _held(self) -> str:
        file = 'cat "$VAULT_TOKEN_FILE"'
        return self._node.kubectl("exec", "watches", "-n", "payments", "-c", "watches", "--", "sh", "-c", file).stdout

    def _refused(self, audience: str) -> float:
        _until(lambda: not self._granted(audience), "a refusal")
        return time.time()

    def _revoked(self, token: str) -> float:
        call = self._servers.vault.call
        _until(lambda: call("GET", "auth/token/lookup-self", token).status == 403, "the token to be revoked")
        return time.time()

    def _granted(self, audience: str) -> bool:
        return granted(self._node.client, "payments", "teller", "watches", audience)

    def _merge(self, path: str, change: Mapping[str, Any]) -> None:
        self._node.client.request("PATCH", path, change)

    def _apply(self, *objects: Mapping[str, Any]) -> None:
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self._node.kubectl("apply", "-f", "-", input=text)


def _pod() -> dict[str, Any]:
    """An ordinary pod that says when its files change."""
    field = {"path": "value", "fieldRef": {"fieldPath": "metadata.annotations['bench']"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "watches", "namespace": "payments", "annotations": {"bench": "turn-0"}},
        "spec": {
            "serviceAccountName": "teller",
            "hostAliases": ALIASES,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [{"name": "knob", "downwardAPI": {"items": [field]}}],
            "containers": [
                {
                    "name": "watches",
                    "image": derived.APPLICATION,
                    "imagePullPolicy": "Never",
                    "command": ["python3", "-c", _WATCHES],
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [{"name": "knob", "mountPath": "/knob"}],
                }
            ],
        },
    }
