"""Apostille itself on a control plane of the testbed: installed as a user would, run as its two processes.

The processes run as their own service accounts with exactly the rights of ``hack/manifests/apostille.yaml``.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import ssl
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from apostille_testbed import processes
from apostille_testbed.client import APIError
from apostille_testbed.control_plane import ControlPlane
from apostille_testbed.ports import ListenerPort
from apostille_testbed.processes import ProcessError, Running
from apostille_testbed.quick_process import QuickProcess

ROOT = Path(__file__).parents[2]
NAMESPACE = "apostille-system"
CONTROLLER, ADMISSION = "apostille-controller", "apostille-admission"
KINDS = ("federationtrusts", "workloadbindings")
TOKEN_SECONDS = 86400
READY_SECONDS = 180.0


class Installation:
    """The two kinds, Apostille's rights, and its processes. Use it in a ``with`` block, or call `stop`.

    Each process can be stopped, killed, frozen (it hangs: connections are taken and never answered) and started again;
    the admission endpoint keeps its address.
    """

    def __init__(
        self,
        control_plane: ControlPlane,
        *,
        exchange_image: str = "apostille-exchange:dev",
        log_level: str = "info",
        quick: bool = False,
    ) -> None:
        """``quick``: its processes are forked from one that has imported everything, which spares each a second."""
        self.control_plane = control_plane
        self._quick = quick
        self._exchange_image, self._log_level = exchange_image, log_level
        self._directory = control_plane.directory / "apostille"
        self._port, self._controller_port = ListenerPort(), ListenerPort()
        self.url = f"https://127.0.0.1:{self._port}"
        """Where the admission server listens."""
        self._running: dict[str, Running] = {}

    def install(self) -> None:
        """Applies kinds and rights with kubectl. Raises KubectlError."""
        kubectl = self.control_plane.kubectl
        kubectl("apply", "-f", ROOT / "crds")
        kubectl(
            "wait", "--for=condition=Established", "--timeout=60s", *(f"crd/{kind}.apostille.dev" for kind in KINDS)
        )
        kubectl("apply", "-f", ROOT / "hack" / "manifests" / "apostille.yaml")
        self._pair = self.control_plane.authority.server("admission", ["127.0.0.1"])

    def start_admission(self, *, wait: bool = True) -> Running:
        """Starts the admission server; returns when it is ready, unless not ``wait``. Raises ProcessError."""
        certificate, key = self._pair
        return self._start(
            ADMISSION,
            ["admission", "--host=127.0.0.1", f"--port={self._port}", f"--certificate={certificate}", f"--key={key}",
             f"--exchange-image={self._exchange_image}", "--allow-loopback"],
            wait=wait,
        )  # fmt: skip

    def start_controller(self) -> Running:
        """Starts the controller. Whether it works shows in the cluster: conditions of trusts and bindings."""
        return self._start(
            CONTROLLER,
            ["controller", f"--admission-url={self.url}", f"--ca-bundle={self.control_plane.ca}",
             "--metrics-host=127.0.0.1", f"--metrics-port={self._controller_port}", "--allow-loopback"],
            wait=False,
        )  # fmt: skip

    def start(self) -> Self:
        """Installs and starts everything; returns when the API server asks about the two kinds."""
        self.install()
        self.start_admission()
        controller = self.start_controller()
        give_up = time.monotonic() + READY_SECONDS
        while not self.judges():
            if not controller.running or time.monotonic() > give_up:
                raise ProcessError(f"{CONTROLLER} has not told the API server whom to ask:\n{controller.tail()}")
            time.sleep(0.05)
        return self

    def judges(self) -> bool:
        """Whether a bad trust is refused. Before the controller's first look at the cluster it would be taken."""
        party = {"type": "AWS", "aws": {"accountID": "123456789012", "region": "eu-west-1"}}
        trust = {
            "apiVersion": "apostille.dev/v1alpha1",
            "kind": "FederationTrust",
            "metadata": {"name": "is-it-judged"},
            "spec": {"relyingParty": party, "audience": ""},
        }
        try:
            self.control_plane.client.request("POST", "/apis/apostille.dev/v1alpha1/federationtrusts?dryRun=All", trust)
        except APIError as error:
            return error.status == 403
        return False

    def process(self, name: str) -> Running:
        """`CONTROLLER` or `ADMISSION` as it was last started. Raises KeyError."""
        return self._running[name]

    def kill(self, *names: str) -> None:
        """Ends processes at once, without a chance to hand anything over; default: both."""
        for name in names or (CONTROLLER, ADMISSION):
            self._running[name].kill()

    def freeze(self, name: str) -> None:
        """The process hangs until `thaw`."""
        os.kill(self._running[name].pid, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """It goes on."""
        os.kill(self._running[name].pid, signal.SIGCONT)

    def ready(self) -> bool:
        """Whether the admission server says it is ready."""
        return self.admission("/readyz")[0] == 200

    def metrics(self) -> str:
        """The admission server's metrics in Prometheus' text format; why there are none, while it does not answer."""
        return self.admission("/metrics")[1]

    def admission(self, path: str, body: Any = None) -> tuple[int, str]:
        """What the admission server answers to a GET, or a POST of ``body`` as JSON; code 0 when it does not."""
        context = ssl.create_default_context(cafile=str(self.control_plane.ca))
        return _ask(http.client.HTTPSConnection("127.0.0.1", self._port.number, context=context, timeout=5), path, body)

    def controller(self, path: str) -> tuple[int, str]:
        """What the controller answers under ``/livez``, ``/readyz`` or ``/metrics``; code 0 when it does not."""
        return _ask(http.client.HTTPConnection("127.0.0.1", self._controller_port.number, timeout=5), path)

    def log(self, name: str) -> str:
        """Everything a process has written, over all its starts."""
        return (self._directory / f"{name}.log").read_text(errors="replace")

    def stop(self) -> None:
        """Ends both processes; what is in the cluster stays. May be called again."""
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
            process.kill()
        self._port.close()
        self._controller_port.close()

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self, name: str, arguments: list[str], *, wait: bool) -> Running:
        if name in self._running:
            self._running[name].kill()  # also one that has ended by itself: it is still to be reaped
        # Its own rights and nothing else: not the administrator's kubeconfig, no proxy of the caller's.
        arguments = [*arguments, f"--kubeconfig={self._kubeconfig(name)}", f"--log-level={self._log_level}"]
        process = self._running[name] = self._launch(name, arguments)
        if wait:
            try:
                processes.wait_for(process, self.ready, READY_SECONDS)
            except BaseException:
                process.kill()
                raise
        return process

    def _launch(self, name: str, arguments: list[str]) -> Running:
        if self._quick:
            self._directory.mkdir(parents=True, exist_ok=True)
            return QuickProcess(name, arguments, self._directory / f"{name}.log")
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(ROOT / "operator"),
            "PYTHONUNBUFFERED": "1",
            "HOME": str(self._directory),
            "LANG": "C.UTF-8",
        }
        command = [sys.executable, "-m", "apostille.cli.main", *arguments]
        return processes.start(name, command, self._directory, env=environment, keep_log=True)

    def _kubeconfig(self, account: str) -> Path:
        path = self.control_plane.directory / f"serviceaccount-{NAMESPACE}-{account}.kubeconfig"
        try:
            return self.control_plane.service_account_kubeconfig(NAMESPACE, account, seconds=TOKEN_SECONDS)
        except (APIError, OSError):
            # A process that is started while the API server is down has the token of its last start.
            if path.exists():
                return path
            raise


def _ask(connection: http.client.HTTPConnection, path: str, body: Any = None) -> tuple[int, str]:
    headers = {"Content-Type": "application/json"}
    try:
        connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError as error:
        return 0, str(error)
    finally:
        connection.close()


def conditions(raw: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Condition type to (status, reason) of an object's status."""
    found = (raw.get("status") or {}).get("conditions") or ()
    return {condition["type"]: (condition["status"], condition["reason"]) for condition in found}
