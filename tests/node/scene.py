"""Pods on a real node, as tests ask for them."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import yaml

from apostille_testbed import Node
from apostille_testbed.client import APIError
from apostille_testbed.node import archive, images
from apostille_testbed.node.archive import BUSYBOX
from apostille_testbed.progress import Console

ROOT = Path(__file__).parents[2]
WITHIN = 60.0
KINDS = ("federationtrusts.apostille.dev", "workloadbindings.apostille.dev")

_SYSTEM_AUTHORITIES = "/usr/lib/ssl/cert.pem"
"""Where the OpenSSL of the base image looks."""

SHORT = ("admission.extraArgs={--lame-duck=1}", "admission.replicas=1", "controller.replicas=1")
"""Settings of a release that is to go: told to stop, it serves on for one second, so that what still refused without it
would show sooner; and there is one of each."""

_OURS = "/apis/apostille.dev/v1alpha1"
_GROUPS = {"federationtrusts": _OURS, "workloadbindings": _OURS, "jobs": "/apis/batch/v1"}
"""Kinds that are not of the core."""

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
    """Applies them as the administrator; returns the API server's warnings and, unless ``check``, its refusals."""
    said: list[str] = []
    for one in objects:
        try:
            said += node.client.apply(one)
        except APIError as error:
            if check:
                raise
            said.append(str(error))
    return "\n".join(said)


def stored(node: Node, path: str, namespace: str = "") -> dict[str, Any]:
    """An object, such as ``pods/app``, without a process each time one looks. Raises APIError."""
    group = _GROUPS.get(path.partition("/")[0], "/api/v1")
    where = f"{group}/namespaces/{namespace}" if namespace else group
    found: dict[str, Any] = node.client.request("GET", f"{where}/{path}")
    return found


def retarget(node: Node, namespace: str, binding: str, target: dict[str, Any]) -> None:
    """Changes the target of a binding."""
    path = f"{_OURS}/namespaces/{namespace}/workloadbindings/{binding}"
    node.client.request("PATCH", path, {"spec": {"target": target}})


def log(node: Node, name: str, namespace: str, container: str) -> str:
    """What a container wrote so far, without a process each time one looks. Raises APIError."""
    return node.client.text(f"/api/v1/namespaces/{namespace}/pods/{name}/log?container={container}")


def refusal(node: Node, account: str, namespace: str, audience: str, pod: str = "") -> str:
    """Why a token for an audience is refused, bound to a pod where one is named; nothing: it is granted."""
    spec: dict[str, Any] = {"audiences": [audience]}
    if pod:
        spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", "name": pod}
    try:
        node.client.request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", {"spec": spec})
    except APIError as error:
        return str(error)
    return ""


def refusers(node: Node) -> list[str]:
    """The names of all objects by which an API server may refuse pods."""
    kinds = [f"{way}webhookconfigurations" for way in ("mutating", "validating")]
    kinds += [f"validatingadmissionpolic{ending}" for ending in ("ies", "ybindings")]
    found = [node.client.request("GET", f"/apis/admissionregistration.k8s.io/v1/{kind}")["items"] for kind in kinds]
    return [item["metadata"]["name"] for items in found for item in items]


def forget(node: Node, namespace: str, *trusts: str) -> None:
    """Deletes trusts, and the bindings and pods of a namespace, which stays."""
    node.client.request("DELETE", f"{_OURS}/namespaces/{namespace}/workloadbindings")
    for name in trusts:
        node.client.request("DELETE", f"{_OURS}/federationtrusts/{name}")
    remove_pods(node, namespace)


def remove_pods(node: Node, namespace: str) -> None:
    """Deletes the pods of a namespace: their names are free at once, their containers end behind it."""
    node.client.request("DELETE", f"/api/v1/namespaces/{namespace}/pods?gracePeriodSeconds=0")


def forget_namespaces(node: Node, *names: str) -> None:
    """Deletes namespaces, those that are there; what is in them goes in time, so the names are nobody's any more."""
    for name in names:
        with suppress(APIError):
            node.client.request("DELETE", f"/api/v1/namespaces/{name}")


def ready(node: Node, name: str, namespace: str) -> None:
    """Returns when the pod is Ready. Raises TimeoutError, APIError."""
    met(node, f"pods/{name}", namespace)


def met(node: Node, path: str, namespace: str = "", condition: str = "Ready", within: float = WITHIN) -> None:
    """Returns when a condition of an object, such as ``pods/app``, is true. Raises TimeoutError, APIError."""

    def true() -> bool:
        found = stored(node, path, namespace)
        generation = found["metadata"].get("generation", 0)
        return any(
            one["type"] == condition
            and one["status"] == "True"
            # What a condition says of the object before its last change says nothing.
            and one.get("observedGeneration", generation) >= generation
            for one in found.get("status", {}).get("conditions", ())
        )

    until(true, f"{path} to be {condition}", within)


def output(node: Node, name: str, namespace: str, container: str = "app") -> str:
    """What a pod wrote that ran to its end."""

    def ended() -> bool:
        return stored(node, f"pods/{name}", namespace)["status"]["phase"] in ("Succeeded", "Failed")

    until(ended, f"pod {name} to end")
    return log(node, name, namespace, container)


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


def until(true: Callable[[], bool], what: str, within: float = WITHIN, pause: float = 0.1) -> None:
    """Returns when it is; ``pause``: seconds between two looks, more where one costs a process. Raises TimeoutError."""
    give_up = time.monotonic() + within
    while not true():
        if time.monotonic() > give_up:
            raise TimeoutError(f"waited {within:g} s for {what}")
        time.sleep(pause)
