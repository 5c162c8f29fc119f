"""Somebody else's mutating webhook: it answers every new pod of a namespace with one JSON-Patch operation."""

from __future__ import annotations

import base64
import http.server
import json
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import trustme

from integration.plain_client import PlainClient, pod, until


@contextmanager
def second_webhook(api: PlainClient, namespace: str, operation: Mapping[str, Any]) -> Iterator[list[str]]:
    """In force on entry and gone on exit; gives the names of the pods it was asked about.

    Its name makes it come after ours: the API server calls configurations in the order of their names.
    """
    calls: list[str] = []
    patch = base64.b64encode(json.dumps([operation]).encode()).decode()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
            named = [c["name"] for c in request["object"]["spec"]["containers"]]
            response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
            if operation["value"]["name"] not in named:
                calls.append(request["object"]["metadata"].get("name", ""))
                response |= {"patchType": "JSONPatch", "patch": patch}
            body = json.dumps(
                {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class names it
            """Says nothing."""

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    configuration = _configuration(f"zz-{namespace}", namespace, server.server_address[1], authority)
    try:
        api.ensure(configuration)
        until(lambda: _asked(api, namespace, calls), "the second webhook is in force")
        calls.clear()
        yield calls
    finally:
        api.delete(configuration)
        until(lambda: not _asked(api, namespace, calls), "the second webhook is gone")
        server.shutdown()
        server.server_close()


def _asked(api: PlainClient, namespace: str, calls: list[str]) -> bool:
    calls.clear()
    assert api.create(pod(namespace, "probe", None), dry_run=True).ok
    return bool(calls)


def _configuration(name: str, namespace: str, port: int, authority: trustme.CA) -> dict[str, Any]:
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    bundle = base64.b64encode(authority.cert_pem.bytes()).decode()
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": "late.example.com",
                "admissionReviewVersions": ["v1"],
                "clientConfig": {"url": f"https://127.0.0.1:{port}/", "caBundle": bundle},
                "failurePolicy": "Ignore",
                "timeoutSeconds": 5,
                "sideEffects": "None",
                "rules": [rule],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            }
        ],
    }
