"""Apostille with several admission servers behind one address, whose certificate the controller keeps."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

from apostille_testbed import APIError, ControlPlane
from apostille_testbed.installation import ADMISSION, CONTROLLER, NAMESPACE, READY_SECONDS
from apostille_testbed.ports import ListenerPort
from apostille_testbed.processes import Running
from e2e.balancer import Balancer, balancer
from e2e.one_apply import trust, workload
from e2e.world import ADMISSION_GROUP, SECOND, World, until, whole
from integration.cluster import injected

Json = dict[str, Any]
SECRET = f"/api/v1/namespaces/{NAMESPACE}/secrets/apostille-serving-certificate"
WEBHOOKS = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")
DAY = 86400


class Replicated(World):
    """Admission servers are called ``apostille-admission-1`` and so on; one address leads to those that are ready."""

    def __init__(self, plane: ControlPlane, *, replicas: int = 2, settle: float = 0.5, lame_duck: float = 2.0) -> None:
        super().__init__(plane)
        self.ports = {f"{ADMISSION}-{number}": ListenerPort() for number in range(1, replicas + 1)}
        self.lifetime, self._settle, self._lame_duck = 90 * DAY, settle, lame_duck
        self._ends = contextlib.ExitStack()
        self.balancer: Balancer
        self.source = self.inherited = ""
        """Secrets that the controller is told of."""

    def start(self) -> Self:
        self.install()
        self.balancer = self._ends.enter_context(
            balancer(self._port.number, [one.number for one in self.ports.values()])
        )
        self.start_controller()
        for name in self.ports:
            self.start_replica(name)
        until(self.judges, "the API server asks about the two kinds", READY_SECONDS)
        return self

    def stop(self) -> None:
        super().stop()
        self._ends.close()
        for port in self.ports.values():
            port.close()

    def start_controller(self) -> Running:
        """At once, and as the same leader as before: nobody has to wait for the lease of one that was killed."""
        arguments = [*self._arguments("first"), f"--metrics-port={self._controller_port}"]
        return self._start(CONTROLLER, arguments, wait=False)

    def _arguments(self, identity: str) -> list[str]:
        return [
            "controller", f"--admission-url={self.url}", f"--identity={identity}",
            *(f"--admission-replica=127.0.0.1:{port}" for port in self.ports.values()),
            f"--certificate-seconds={self.lifetime}", f"--certificate-settle={self._settle}",
            *([f"--certificate-source={self.source}"] if self.source else []),
            *([f"--certificate-inherited={self.inherited}"] if self.inherited else []),
            "--metrics-host=127.0.0.1", "--allow-loopback",
        ]  # fmt: skip

    def start_replica(self, name: str, *, wait: bool = True) -> Running:
        """Raises ProcessError."""
        process = self._start(
            name,
            ["admission", "--host=127.0.0.1", f"--port={self.ports[name]}", f"--lame-duck={self._lame_duck}",
             "--allow-loopback"],
            wait=False,
        )  # fmt: skip
        if wait:
            until(lambda: self.ports[name].number in self.balancer.ready, f"{name} is ready", READY_SECONDS)
        return process

    def _kubeconfig(self, account: str) -> Path:
        return super()._kubeconfig(ADMISSION if account.startswith(ADMISSION) else account)

    def start_second(self) -> Running:
        """Another controller, under a name of its own: it waits for the lease."""
        arguments = [*self._arguments("second"), f"--metrics-port={self._second_port}"]
        return self._start(SECOND, arguments, wait=False)

    def signal(self, name: str) -> None:
        """SIGTERM, without waiting for what follows."""
        os.kill(self.process(name).pid, signal.SIGTERM)

    def ask(self, name: str, path: str) -> tuple[int, str]:
        """Code and the header Connection of what a replica answers to a new connection; 0 when it does not."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", self.ports[name].number, context=context, timeout=5)
        with contextlib.closing(connection):
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
            except (OSError, http.client.HTTPException):
                return 0, ""
            return answer.status, answer.getheader("Connection") or ""

    def settle_later(self, name: str) -> None:
        """Declares the workload ``name``, without waiting until it is in force."""
        self.put(*whole(name)[:-1])

    def leaf(self, name: str) -> str:
        """Digest of what a replica serves to a new handshake. Raises OSError."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with (
            socket.create_connection(("127.0.0.1", self.ports[name].number), timeout=10) as plain,
            context.wrap_socket(plain) as connection,
        ):
            return hashlib.sha256(connection.getpeercert(binary_form=True) or b"").hexdigest()

    def secret(self) -> Json:
        """Raises APIError."""
        return cast("Json", self.plane.client.request("GET", SECRET))

    def bundles(self) -> dict[str, str]:
        """PEM of the caBundle of each webhook, by configuration and webhook."""
        found = {}
        for kind in WEBHOOKS:
            for item in self.plane.client.request("GET", f"{ADMISSION_GROUP}/{kind}")["items"]:
                for webhook in item.get("webhooks") or ():
                    bundle = webhook["clientConfig"].get("caBundle") or ""
                    found[f"{item['metadata']['name']}/{webhook['name']}"] = base64.b64decode(bundle).decode()
        return found

    def at_rest(self) -> str:
        """The leaf that is served everywhere, where one authority is trusted everywhere; empty during a rotation."""
        secret = self.secret()
        leaf = secret["metadata"].get("annotations", {}).get("apostille.dev/serve", "")
        bundles = set(self.bundles().values())
        alone = len(bundles) == 1 and next(iter(bundles)).count("BEGIN CERTIFICATE") == 1
        over = "next.crt" not in secret["data"] and alone
        return leaf if over and all(self.leaf(name) == leaf for name in self.ports) else ""

    def rest(self, unlike: str = "") -> str:
        """Waits until a rotation is over; returns the leaf."""
        found = [""]

        def rested() -> bool:
            with contextlib.suppress(KeyError):
                found[0] = self.at_rest()
            return found[0] not in ("", unlike)

        until(rested, "the rotation is over")
        return found[0]

    def wish(self) -> None:
        """Has the next controller rotate: what there is ends too late or too early for what is wished now."""
        self.lifetime = DAY if self.lifetime != DAY else 10 * DAY

    def process_kill(self) -> None:
        """Kills the controller."""
        self.kill(CONTROLLER)

    def trusted(self) -> list[str]:
        """The authorities that the Secret names, in PEM."""
        text = base64.b64decode(self.secret()["data"]["ca.crt"]).decode()
        return [part for part in text.split("-----END CERTIFICATE-----") if part.strip()]


@dataclass
class Load:
    """Pods and trusts created through the real API server, all the time; what did not go as it should."""

    done: int = 0
    failed: list[str] = field(default_factory=list)
    handshakes: int = 0
    seconds: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        slowest = max(self.seconds, default=0.0)
        return (
            f"{self.done} admissions, slowest {slowest:.2f} s; {self.handshakes} handshakes; {len(self.failed)} failed"
        )


@contextlib.contextmanager
def load(world: Replicated, name: str, *, threads: int = 2, pause: float = 0.05) -> Iterator[Load]:
    """Under the bound workload ``name``. Beside it each replica's leaf is verified by every caBundle that is stored."""
    found, over = Load(), threading.Event()
    client = world.plane.client

    def admit(number: int) -> None:
        pod = workload("Pod", name, name=f"load-{number}")
        more = trust(f"load-{number}", (name, "app"))
        turn = 0
        while not over.wait(pause):
            turn += 1
            began = time.monotonic()
            try:
                if turn % 4:
                    made = client.request("POST", f"/api/v1/namespaces/{name}/pods?dryRun=All", pod)
                    if not injected(made):
                        found.failed.append("a pod was not injected")
                else:
                    client.request("POST", "/apis/apostille.dev/v1alpha1/federationtrusts?dryRun=All", more)
            except (OSError, APIError, http.client.HTTPException) as error:
                found.failed.append(f"{type(error).__name__}: {error}")
            found.seconds.append(time.monotonic() - began)
            found.done += 1

    def verify() -> None:
        while not over.wait(0.2):
            with contextlib.suppress(APIError):
                before = world.bundles()
                webhooks = {bundle: webhook for webhook, bundle in before.items()}
                for replica, port in world.ports.items():
                    for bundle, webhook in webhooks.items():
                        if not _verified(port.number, bundle) and world.bundles() == before:
                            found.failed.append(f"{replica} serves what {webhook} does not trust")
                        found.handshakes += 1

    workers = [threading.Thread(target=admit, args=(number,), daemon=True) for number in range(threads)]
    workers.append(threading.Thread(target=verify, daemon=True))
    for worker in workers:
        worker.start()
    try:
        yield found
    finally:
        over.set()
        for worker in workers:
            worker.join(60)


def _verified(port: int, bundle: str) -> bool:
    """Also where nobody answers: that is another question."""
    context = ssl.create_default_context(cadata=bundle)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            context.wrap_socket(plain, server_hostname="127.0.0.1").close()
    except ssl.SSLCertVerificationError:
        return False
    except OSError:
        return True
    return True


def terminate(process: Running) -> int:
    """SIGTERM; returns the exit code."""
    os.kill(process.pid, signal.SIGTERM)
    return process.wait(60)
