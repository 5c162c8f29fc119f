"""What the pod runner's tests share: objects made and read over the real API server, pods as small dictionaries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from apostille_testbed import ControlPlane
from apostille_testbed.pods import PodRunner, pod_runner
from apostille_testbed.pods.api import Api, ApiError

Object = dict[str, Any]
CEILING = 20.0  # seconds until a poll gives up; what is waited for takes a fraction of one
AUDIENCE = "https://party.example"
SLEEP = "exec sleep 1000"


class Scene:
    """A namespace with the service account `reader`, and a node that runs its pods."""

    def __init__(self, control_plane: ControlPlane, namespace: str, directory: Path) -> None:
        self.control_plane = control_plane
        self.namespace = namespace
        self.node = f"node-{namespace}"
        self.kubeconfig = control_plane.kubeconfig
        self.node_kubeconfig = control_plane.kubeconfig_for(f"system:node:{self.node}", ["system:nodes"])
        self.directory = directory
        self._runner = asyncio.Runner()

    def call(self, method: str, path: str, body: Object | None = None, node: bool = False) -> Object:
        """One request as the administrator, or as the node. Raises ApiError."""

        async def work() -> Object:
            async with Api(self.node_kubeconfig if node else self.kubeconfig) as api:
                kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
                return await api.call(method, path, body, content_type=kind)

        return self._runner.run(work())

    def close(self) -> None:
        self._runner.close()

    def core(self, kind: str, name: str = "") -> str:
        return f"/api/v1/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")

    def create(self, pod: Object) -> None:
        self.call("POST", self.core("pods"), pod)

    def pod(self, name: str) -> Object:
        return self.call("GET", self.core("pods", name))

    def events(self, pod: str, reason: str) -> list[str]:
        found = self.call("GET", self.core("events"))["items"]
        return [item["message"] for item in found if (item["involvedObject"]["name"], item["reason"]) == (pod, reason)]

    def runner(self, **options: Any) -> AbstractContextManager[PodRunner]:
        return pod_runner(self.control_plane, name=self.node, namespaces=[self.namespace], **options)


@contextmanager
def scene(control_plane: ControlPlane, namespace: str, directory: Path) -> Iterator[Scene]:
    made = Scene(control_plane, namespace, directory)
    try:
        made.call("POST", made.core("serviceaccounts"), {"metadata": {"name": "reader"}})
        yield made
    finally:
        made.close()


def container(name: str, script: str, *mounts: tuple[str, str], **more: Any) -> Object:
    """A container that runs a shell script, with (volume, path) mounts."""
    found = [{"name": volume, "mountPath": path} for volume, path in mounts]
    return {"name": name, "image": "shell", "command": ["sh", "-c", script], "volumeMounts": found, **more}


def pod(name: str, *containers: Object, annotations: dict[str, str] | None = None, **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "annotations": annotations or {}},
        "spec": {
            "serviceAccountName": "reader",
            "automountServiceAccountToken": False,
            "containers": list(containers),
            **spec,
        },
    }


def token_volume(audience: str = AUDIENCE) -> Object:
    source = {"serviceAccountToken": {"audience": audience, "expirationSeconds": 3600, "path": "token"}}
    return {"name": "token", "projected": {"sources": [source]}}


def is_ready(found: Object | None) -> bool:
    """Whether a pod says that it is."""
    told = (found or {}).get("status", {}).get("conditions", ())
    return any(item["type"] == "Ready" and item["status"] == "True" for item in told)


def until(holds: Callable[[], Any], what: str) -> Any:
    """Polls; returns the first true result. Raises AssertionError after CEILING."""
    deadline = time.monotonic() + CEILING
    while not (result := holds()):
        assert time.monotonic() < deadline, f"not within {CEILING:.0f} s: {what}"
        time.sleep(0.05)
    return result


class Denial:
    """A ValidatingAdmissionPolicy that denies token requests for `audience`, as the product's own policies do."""

    GROUP = "/apis/admissionregistration.k8s.io/v1"

    def __init__(self, made: Scene, audience: str) -> None:
        self._scene = made
        self._name = f"deny-{made.namespace}"
        self._audience = audience
        policy = {
            "metadata": {"name": self._name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {
                    "resourceRules": [
                        {
                            "apiGroups": [""],
                            "apiVersions": ["v1"],
                            "operations": ["CREATE"],
                            "resources": ["serviceaccounts/token"],
                        }
                    ]
                },
                "validations": [
                    {
                        "expression": f"!('{audience}' in object.spec.audiences)",
                        "message": "no binding allows this audience",
                    }
                ],
            },
        }
        binding = {
            "metadata": {"name": self._name},
            "spec": {
                "policyName": self._name,
                "validationActions": ["Deny"],
                "matchResources": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": made.namespace}}
                },
            },
        }
        made.call("POST", f"{self.GROUP}/validatingadmissionpolicies", policy)
        made.call("POST", f"{self.GROUP}/validatingadmissionpolicybindings", binding)
        until(self.denies, "the policy is in force")

    def denies(self) -> bool:
        body = {"spec": {"audiences": [self._audience], "expirationSeconds": 600}}
        try:
            self._scene.call("POST", self._scene.core("serviceaccounts", "reader") + "/token", body)
        except ApiError as error:
            return "no binding allows" in str(error)
        return False

    def lift(self) -> None:
        for plural in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
            self._scene.call("DELETE", f"{self.GROUP}/{plural}/{self._name}")
