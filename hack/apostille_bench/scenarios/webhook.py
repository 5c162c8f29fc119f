"""What one injection costs in the admission server, against the same injection in kopf's own server."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import yaml

from apostille_bench.runner import Batch, Variant
from apostille_bench.scene import QUICKSTART, ROOT, Caller, cpu_seconds, quickstart
from apostille_testbed import ControlPlane, processes
from apostille_testbed.installation import ADMISSION
from apostille_testbed.ports import ListenerPort

REQUESTS = 200
"""Requests a batch: enough for a 99th percentile over ten rounds."""


class Webhook:
    """Both servers answer the same AdmissionReview of an ordinary pod, over TLS and one kept connection."""

    name = "webhook"
    question = "what does one injection cost in the admission server, against kopf's own?"

    @contextmanager
    def variants(self, say: Callable[[str], None]) -> Iterator[Sequence[Variant]]:
        """The baseline runs beside ours on the same control plane."""
        with quickstart(say) as (plane, installation):
            body = review()
            port = ListenerPort()
            kopf_server = _kopf(plane, port.number)
            pid = installation.process(ADMISSION).pid
            try:
                with (
                    closing(Caller(f"https://127.0.0.1:{port}", plane.ca)) as theirs,
                    closing(Caller(installation.url, plane.ca)) as ours,
                ):
                    yield (
                        Variant(
                            "kopf",
                            "kopf's WebhookServer with the same plan",
                            lambda: _batch(theirs, "/inject", body, kopf_server.pid),
                        ),
                        Variant("apostille", "the admission server", lambda: _batch(ours, "/mutate", body, pid)),
                    )
            finally:
                kopf_server.kill()
                port.close()


def _batch(caller: Caller, path: str, body: bytes, pid: int) -> Batch:
    before = cpu_seconds(pid)
    latencies = []
    for _ in range(REQUESTS):
        milliseconds, answer = caller.post(path, body)
        if "patch" not in answer["response"]:
            raise RuntimeError(f"{path} injected nothing: {json.dumps(answer)[:300]}")
        latencies.append(milliseconds)
    return {"latency ms": latencies, "server CPU us a request": [(cpu_seconds(pid) - before) / REQUESTS * 1e6]}


def review() -> bytes:
    """An AdmissionReview (admission.k8s.io/v1) for the quickstart's pod as the API server sends it."""
    pod: dict[str, Any] = yaml.safe_load((QUICKSTART / "30-pod.yaml").read_text())
    pod["metadata"].setdefault("annotations", {})
    return json.dumps(
        {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "requestKind": {"group": "", "version": "v1", "kind": "Pod"},
                "requestResource": {"group": "", "version": "v1", "resource": "pods"},
                "name": pod["metadata"]["name"],
                "namespace": pod["metadata"]["namespace"],
                "operation": "CREATE",
                "userInfo": {"username": "admin", "groups": ["system:authenticated"]},
                "object": pod,
                "oldObject": None,
                "dryRun": False,
                "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
            },
        }
    ).encode()


def _kopf(plane: ControlPlane, port: int) -> processes.Process:
    certificate, key = plane.authority.server("kopf", ["127.0.0.1"])
    objects = {
        option: json.dumps(plane.client.request("GET", f"/apis/apostille.dev/v1alpha1/{path}"))
        for option, path in (
            ("trust", "federationtrusts/aws-prod"),
            ("binding", "namespaces/payments/workloadbindings/s3-reader"),
        )
    }
    return processes.start(
        "kopf-webhook",
        [
            sys.executable, "-m", "apostille_bench.kopf_webhook", f"--kubeconfig={plane.kubeconfig}", f"--port={port}",
            f"--certificate={certificate}", f"--key={key}", *(f"--{name}={text}" for name, text in objects.items()),
        ],
        plane.directory / "kopf",
        env={"PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'hack'}", "PATH": str(Path(sys.executable).parent)},
        ready=lambda: _listens(port),
    )  # fmt: skip


def _listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0
