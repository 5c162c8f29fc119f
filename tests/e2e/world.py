"""Whole Apostille on a control plane that a test may break, and what tests ask of it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from apostille.model import names
from apostille_testbed import APIError, ControlPlane, Installation
from apostille_testbed.client import path_of
from apostille_testbed.installation import ADMISSION, CONTROLLER, NAMESPACE
from apostille_testbed.ports import ListenerPort
from apostille_testbed.processes import Running
from e2e.one_apply import binding, namespace, trust, workload
from integration.cluster import injected

Json = dict[str, Any]
CEILING = 120.0
"""Seconds until a poll gives up. Most of what is waited for takes one or two; a lease takes fifteen to end."""
SECOND = "apostille-controller-2"
GROUP = "/apis/apostille.dev/v1alpha1"
ADMISSION_GROUP = "/apis/admissionregistration.k8s.io/v1"
POLICY_PATH, SELECTION_PATH = "/validatingadmissionpolicies/", "/mutatingwebhookconfigurations/"


def until(condition: Callable[[], Any], what: str, seconds: float = CEILING) -> float:
    """Polls until it holds, taking an API server that is away for no answer; returns the seconds it took."""
    began = time.monotonic()
    while True:
        with contextlib.suppress(OSError, APIError):
            if condition():
                return time.monotonic() - began
        assert time.monotonic() - began < seconds, f"after {seconds:.0f} s still not: {what}"
        time.sleep(0.1)


class World(Installation):
    """An installation whose controller may be sent through a proxy, have a second beside it, and is revived."""

    def __init__(self, plane: ControlPlane) -> None:
        super().__init__(plane, quick=True)
        self.plane = plane
        self.server = ""
        """Where the controller is told that the API server is; empty: where it is."""
        self._second_port = ListenerPort()
        self._begun: dict[str, int] = {}

    def _kubeconfig(self, account: str) -> Path:
        path = super()._kubeconfig(CONTROLLER if account == SECOND else account)
        if account == ADMISSION or not self.server:
            return path
        changed = path.with_suffix(".proxied")
        changed.write_text(path.read_text().replace(self.plane.url, self.server))
        return changed

    def _start(self, name: str, arguments: list[str], *, wait: bool) -> Running:
        log = self._directory / f"{name}.log"
        self._begun[name] = log.stat().st_size if log.exists() else 0
        return super()._start(name, arguments, wait=wait)

    def told(self, name: str) -> str:
        """What a process has written since it was started last."""
        return (self._directory / f"{name}.log").read_bytes()[self._begun[name] :].decode(errors="replace")

    def start_second(self) -> Running:
        """Another controller beside the first."""
        return self._start(
            SECOND,
            ["controller", f"--admission-url={self.url}", f"--ca-bundle={self.plane.ca}", "--metrics-host=127.0.0.1",
             f"--metrics-port={self._second_port}"],
            wait=False,
        )  # fmt: skip

    def terminate(self, name: str) -> int:
        """Asks a process to end; returns its exit code."""
        process = self.process(name)
        os.kill(process.pid, signal.SIGTERM)
        return process.wait(60)

    def stop(self) -> None:
        super().stop()
        self._second_port.close()

    @contextlib.contextmanager
    def kubelet(self) -> Iterator[list[str]]:
        """Starts again what ends by itself, as a kubelet would; yields the names of what it has started."""
        over = threading.Event()
        started: list[str] = []

        def watch() -> None:
            while not over.wait(0.5):
                if not self.process(CONTROLLER).running:
                    with contextlib.suppress(OSError, APIError):
                        self.start_controller()
                        started.append(CONTROLLER)
                if not self.process(ADMISSION).running:
                    with contextlib.suppress(OSError, APIError):
                        self.start_admission(wait=False)
                        started.append(ADMISSION)

        thread = threading.Thread(target=watch, name="kubelet", daemon=True)
        thread.start()
        try:
            yield started
        finally:
            over.set()
            thread.join(60)

    @contextlib.contextmanager
    def goes_on(self) -> Iterator[None]:
        """What is done inside ends no process, but a controller whose lease has ended: on a busy machine an API server
        may be away for longer than that."""
        before = self.leases_lost()
        with self.kubelet() as started:
            yield
        assert started == [CONTROLLER] * (self.leases_lost() - before)

    def leases_lost(self) -> int:
        """How often a controller has ended because it could not renew its lease."""
        lines = self.log(CONTROLLER).splitlines()
        return sum("stopping" in line and "lease apostille-controller" in line for line in lines)

    # What is asked of the API server.

    def get(self, path: str) -> Json | None:
        """An object, or None."""
        try:
            found: Json = self.plane.client.request("GET", path)
        except APIError as error:
            if error.status != 404:
                raise
            return None
        return found

    def put(self, *documents: Json) -> None:
        """Applies them, by the API server. Raises APIError."""
        for document in documents:
            self.plane.client.apply(document)

    def remove(self, *documents: Json) -> None:
        """Deletes without waiting for what follows."""
        for document in documents:
            try:
                self.plane.client.request("DELETE", path_of(document))
            except APIError as error:
                if error.status != 404:
                    raise

    def conditions(self, kind: str, name: str, where: str = "") -> dict[str, str]:
        """Condition type to reason, of those that speak of the current generation."""
        scope = f"/namespaces/{where}" if where else ""
        found = self.get(f"{GROUP}{scope}/{kind}/{name}") or {"metadata": {"generation": 0}}
        every = (found.get("status") or {}).get("conditions") or ()
        current = found["metadata"]["generation"]
        return {one["type"]: one["reason"] for one in every if one.get("observedGeneration") == current}

    def in_force(self, name: str) -> bool:
        """Whether the binding of the workload ``name`` is ready, and its trust."""
        return (
            self.conditions("workloadbindings", name, name).get("Ready") == "Ready"
            and self.conditions("federationtrusts", name).get("Ready") == "Ready"
        )

    def settle(self, name: str) -> Json:
        """Namespace, trust and binding ``name``, under Enforce; when they are in force, the pod, which is returned.

        Not in one apply: while nobody leads, a binding is taken with a warning, and a pod that comes with it is bare.
        """
        *declared, pod = whole(name)
        until(lambda: self._applied(*declared), f"{name} is declared")
        until(lambda: self.in_force(name), f"{name} is in force")
        until(lambda: self._applied(pod), f"{name} runs")
        made = self.get(f"/api/v1/namespaces/{name}/pods/app")
        assert made is not None
        assert injected(made)
        return made

    def _applied(self, *documents: Json) -> bool:
        self.put(*documents)
        return True

    def token(self, name: str) -> bool:
        """Whether the pod of the workload ``name`` gets a token now, as its kubelet asks for it."""
        spec = {
            "audiences": [f"https://{name}.sts.example"],
            "expirationSeconds": 3600,
            "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "app"},
        }
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        try:
            self.plane.client.request("POST", f"/api/v1/namespaces/{name}/serviceaccounts/app/token", body)
        except APIError as error:
            if error.status != 403:
                raise
            return False
        return True

    def selected(self) -> dict[str, set[tuple[str, str]]]:
        """failurePolicy to the pairs that the API server asks about, as they stand in its configurations."""
        found: dict[str, set[tuple[str, str]]] = {"Fail": set(), "Ignore": set()}
        listed = self.plane.client.request("GET", f"{ADMISSION_GROUP}/mutatingwebhookconfigurations")["items"]
        for webhook in [one for item in listed for one in item.get("webhooks") or ()]:
            for condition in webhook.get("matchConditions") or ():
                if condition["name"] == "pairs":
                    literal, _ = json.JSONDecoder().raw_decode(condition["expression"], 1)
                    found[webhook["failurePolicy"]] |= {(ns, sa) for ns, accounts in literal.items() for sa in accounts}
        return found

    def generated(self) -> dict[str, str]:
        """Path of every generated object to its resourceVersion."""
        kinds = ("mutatingwebhookconfigurations", "validatingwebhookconfigurations", "validatingadmissionpolicies",
                 "validatingadmissionpolicybindings")  # fmt: skip
        paths = [f"{ADMISSION_GROUP}/{kind}" for kind in kinds] + [f"/api/v1/namespaces/{NAMESPACE}/configmaps"]
        label = f"?labelSelector={quote(names.EVERYTHING_MANAGED)}"
        return {
            f"{path}/{item['metadata']['name']}": item["metadata"]["resourceVersion"]
            for path in paths
            for item in self.plane.client.request("GET", path + label)["items"]
        }

    def statuses(self) -> dict[str, str]:
        """Name of every trust and binding to its resourceVersion."""
        found = [
            item
            for kind in ("federationtrusts", "workloadbindings")
            for item in self.plane.client.request("GET", f"{GROUP}/{kind}")["items"]
        ]
        return {
            f"{item['kind']} {item['metadata'].get('namespace', '')} {item['metadata']['name']}": item["metadata"][
                "resourceVersion"
            ]
            for item in found
        }

    def leader(self) -> str:
        """Who holds the lease."""
        lease = self.get(f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/apostille-controller") or {}
        return str((lease.get("spec") or {}).get("holderIdentity") or "")


def whole(name: str) -> list[Json]:
    """All documents of the workload ``name``: everything is called like it."""
    return [
        *namespace(name, "app"),
        trust(name, (name, "app")),
        binding(name, name),
        workload("Pod", name),
    ]


def text_of(documents: Sequence[Json]) -> str:
    """As a file for kubectl."""
    return "\n---\n".join(json.dumps(document) for document in documents)
