"""Pods on a real node, as tests ask for them."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import yaml

from apostille_testbed import Node
from apostille_testbed.node import archive, images
from apostille_testbed.node.archive import BUSYBOX
from apostille_testbed.progress import Console

ROOT = Path(__file__).parents[2]
WITHIN = 60.0

_SYSTEM_AUTHORITIES = "/usr/lib/ssl/cert.pem"
"""Where the OpenSSL of the base image looks."""

RESTRICTED: dict[str, Any] = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""A container's security context that passes Pod Security `restricted`."""


def pod(name: str, namespace: str, *command: str, image: str = BUSYBOX, **spec: Any) -> dict[str, Any]:
    """A pod of one container ``app`` that is not started again; ``spec`` adds to its spec."""
    container = {"name": "app", "image": image, "imagePullPolicy": "Never"}
    if command:
        container["command"] = list(command)  # type: ignore[assignment]
    fields = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": fields}


def apply(node: Node, *objects: dict[str, Any], check: bool = True) -> str:
    """Applies them in one go as the administrator; returns what kubectl wrote to standard error."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
    return node.kubectl("apply", "-f", "-", input=text, check=check).stderr


def ready(node: Node, name: str, namespace: str) -> None:
    """Returns when the pod is Ready. Raises KubectlError."""
    node.kubectl("wait", "--for=condition=Ready", f"pod/{name}", f"--namespace={namespace}", "--timeout=60s")


def output(node: Node, name: str, namespace: str, container: str = "app") -> str:
    """What a pod wrote that ran to its end."""

    def ended() -> bool:
        phase = node.kubectl("get", "pod", name, f"--namespace={namespace}", "-o", "jsonpath={.status.phase}").stdout
        return phase in ("Succeeded", "Failed")

    until(ended, f"pod {name} to end")
    return node.kubectl("logs", name, f"--namespace={namespace}", f"--container={container}").stdout


def trusting(node: Node, authorities: str, folder: Path) -> str:
    """Loads the sidecar's image with these authorities (PEM) in place of the system's; returns its tag."""
    tag = "trusting"
    base, path = images.images(Console()).exchange, folder / f"{tag}.tar"
    name = f"{images.EXCHANGE.rpartition(':')[0]}:{tag}"
    archive.extend(path, base, name, {_SYSTEM_AUTHORITIES: authorities.encode()})
    node.load(path)
    return tag


def patch(node: Node, kubeconfig: Path, path: str, change: list[dict[str, Any]]) -> str:
    """Sends a JSON patch with the token of a kubeconfig; returns the refusal, or nothing.

    Not by kubectl, which reads the object first: that is a right of its own.
    """
    token = yaml.safe_load(kubeconfig.read_text())["users"][0]["user"]["token"]
    host, port = node.url.removeprefix("https://").split(":")
    context = ssl.create_default_context(cafile=str(node.ca))
    with closing(http.client.HTTPSConnection(host, int(port), context=context, timeout=30)) as connection:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json-patch+json"}
        connection.request("PATCH", path, json.dumps(change), headers)
        answer = connection.getresponse()
        body = json.loads(answer.read())
    return "" if answer.status < 300 else str(body["message"])


def until(true: Callable[[], bool], what: str, within: float = WITHIN) -> None:
    """Returns when it is. Raises TimeoutError."""
    give_up = time.monotonic() + within
    while not true():
        if time.monotonic() > give_up:
            raise TimeoutError(f"waited {within:g} s for {what}")
        time.sleep(0.1)
