"""A real control plane for tests and the demo: etcd and kube-apiserver, on request kube-controller-manager."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from apostille_testbed import binaries, instances, pinned, pki, processes, servers
from apostille_testbed.client import APIError, Client
from apostille_testbed.ports import Port
from apostille_testbed.progress import Say

_API = "/api/v1"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_ADMIN_GROUP = "system:masters"


class KubectlError(RuntimeError):
    """kubectl failed; the message is the command and what it wrote to standard error."""


class ControlPlane:
    """A running control plane; made by `control_plane`. Use it in a ``with`` block, or call `stop`.

    Each has its own directory, ports on ``address``, certificates, service-account key and issuer.
    """

    def __init__(
        self,
        instance: instances.Instance,
        *,
        controller_manager: bool,
        issuer: str | None,
        apiserver_args: Sequence[str],
        address: str = "127.0.0.1",
    ) -> None:
        self._instance = instance
        self.id = instance.id
        """Its name: a DNS label."""
        self.directory = instance.directory
        """Where all its files are; removed by `stop`."""
        self.issuer = issuer or f"https://{self.id}.issuer.example"
        """The ``iss`` of its service-account tokens; nobody resolves this name: `url` serves its documents."""
        self.apiserver_args = list(apiserver_args)
        """Further flags of kube-apiserver; a change takes effect with `restart_apiserver`."""
        self._with_controller_manager = controller_manager
        self.address = address
        """The address of this machine on which its API server listens."""
        self._ports = {name: Port() for name in ("etcd", "etcd-peer", "controller-manager")}
        self._ports["apiserver"] = Port(address)
        self._processes: dict[str, processes.Process] = {}
        self._service_account_keys: list[Path] = []
        self.url = f"https://{address}:{self._ports['apiserver']}"
        """The API server's address; the same after a restart."""

    def _start(self) -> None:
        self._start_etcd()
        certificates = self.directory / "pki"
        self.authority = pki.Authority(certificates, "ca")
        """Signs the certificates of this control plane; tests may have it sign more."""
        self._front = pki.Authority(certificates, "front-ca")
        self.ca = self.authority.certificate
        """The PEM file of the authority that clients of `url` must trust."""
        self._server_pair = self.authority.server("apiserver", self._hosts())
        self._front_pair = self._front.client("front-proxy", "front-proxy-client")
        admin = self.authority.client("admin", "admin", [_ADMIN_GROUP])
        self._kubelet_pair = self.authority.client("kubelet-client", "kube-apiserver-kubelet-client", [_ADMIN_GROUP])
        self.kubeconfig = pki.kubeconfig(self.directory / "admin.kubeconfig", self.url, self.ca, pair=admin)
        """The administrator's kubeconfig (group ``system:masters``)."""
        self._service_account_keys = [pki.service_account_key(certificates / "service-account-0.key")]
        self.client = Client(self._ports["apiserver"].number, self.ca, admin, self.address)
        """Makes requests as the administrator."""
        self.start_apiserver()
        self._open_discovery()
        if self._with_controller_manager:
            self._start_controller_manager()
        self._furnish("default")
        self._start_further()
        self._instance.publish(**self.describe())

    def _start_further(self) -> None:
        """What a control plane with more than its own servers starts before it is said to be up."""

    def describe(self) -> dict[str, Any]:
        """What others may know of it: names and addresses, no secrets."""
        return {
            "version": pinned.KUBERNETES,
            "url": self.url,
            "issuer": self.issuer,
            "ca": str(self.ca),
            "kubeconfig": str(self.kubeconfig),
            "directory": str(self.directory),
            "controller_manager": self._with_controller_manager,
            "node": None,
            "processes": {name: process.pid for name, process in self._processes.items()},
        }

    def env(self) -> dict[str, str]:
        """Environment variables for programs that use it."""
        return environment({"id": self.id, **self.describe()})

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig with a client certificate for any user, such as ``system:node:n1`` in ``system:nodes``."""
        name = "user-" + re.sub(r"[^A-Za-z0-9.]+", "-", ",".join([user, *groups]))[:120]
        pair = self.authority.client(name, user, groups)
        return pki.kubeconfig(self.directory / f"{name}.kubeconfig", self.url, self.ca, pair=pair)

    def service_account_kubeconfig(self, namespace: str, name: str, seconds: int = 3600) -> Path:
        """A kubeconfig with a token of a service account that is valid for ``seconds``. Raises APIError."""
        token = self.token(namespace, name, seconds=seconds)
        path = self.directory / f"serviceaccount-{namespace}-{name}.kubeconfig"
        return pki.kubeconfig(path, self.url, self.ca, token=token)

    def token(self, namespace: str, name: str, audiences: Sequence[str] = (), seconds: int = 3600) -> str:
        """A token of a service account by TokenRequest; no audience: the API server's own. Raises APIError."""
        spec = {"audiences": list(audiences), "expirationSeconds": seconds}
        path = f"{_API}/namespaces/{namespace}/serviceaccounts/{name}/token"
        answer = self.client.request("POST", path, {"spec": spec})
        return str(answer["status"]["token"])

    def create_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> str:
        """Creates a namespace, waits for what its pods need from the controller manager, and returns its name.

        Without a controller manager it makes the ``default`` service account and the ``kube-root-ca.crt`` ConfigMap
        itself. Raises APIError when there is one of that name.
        """
        self.client.request("POST", f"{_API}/namespaces", {"metadata": {"name": name, "labels": dict(labels or {})}})
        self._furnish(name)
        return name

    def kubectl(
        self,
        *args: str | Path,
        input: str | None = None,  # noqa: A002 - as in subprocess.run
        check: bool = True,
        timeout: float = 120.0,
    ) -> subprocess.CompletedProcess[str]:
        """Runs kubectl as the administrator, in the caller's working directory.

        Args:
            args: the arguments after ``kubectl``; ``--kubeconfig`` makes it another user.
            input: its standard input.
            check: raise KubectlError when it fails.
            timeout: seconds; then subprocess.TimeoutExpired is raised.
        """
        command = [str(binaries.kubectl()), *map(str, args)]
        done = subprocess.run(
            command,
            env=processes.passed_on() | self._environment() | {"KUBECONFIG": str(self.kubeconfig)},
            input=input if input is not None else "",
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        if check and done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(command[1:])}: exit code {done.returncode}\n{done.stderr.strip()}")
        return done

    def start_apiserver(self, timeout: float = 120.0) -> None:
        """Starts the API server on its port and data; returns when it is ready. Does nothing while it runs."""
        if self._running("apiserver"):
            return
        self._launch("apiserver", self._apiserver().command(self.apiserver_args), self.client.ready, timeout)

    def second_apiserver(self, timeout: float = 120.0) -> Client:
        """Starts a further API server on the same etcd, as control planes have; returns the administrator's client."""
        port = self._ports.setdefault("apiserver-2", Port(self.address)).number
        admin = self.authority.client("admin", "admin", [_ADMIN_GROUP])
        client = Client(port, self.ca, admin, self.address)
        command = replace(self._apiserver(), port=port).command(self.apiserver_args)
        self._launch("apiserver-2", command, client.ready, timeout)
        return client

    def stop_apiserver(self, grace: float = 2.0) -> None:
        """Stops the API server, after ``grace`` seconds by force: on request it takes more than ten."""
        self._processes["apiserver"].stop(grace)

    def restart_apiserver(self, grace: float = 2.0) -> None:
        """Stops and starts the API server: same port, same data."""
        self.stop_apiserver(grace)
        self.start_apiserver()

    def restart_etcd(self) -> None:
        """Kills etcd and starts it again on its port and data; the API server runs on and finds it again."""
        self._processes["etcd"].kill()
        self._start_etcd()

    def rotate_service_account_key(self, *, keep_old: bool = True, grace: float = 2.0) -> None:
        """Restarts the API server with a new signing key; old ones stay published, unless not ``keep_old``."""
        number = len(list((self.directory / "pki").glob("service-account-*.key")))
        new = pki.service_account_key(self.directory / "pki" / f"service-account-{number}.key")
        self._service_account_keys = [new, *(self._service_account_keys if keep_old else [])]
        self.restart_apiserver(grace)

    def stop(self) -> None:
        """Ends everything at once and removes the directory. May be called again."""
        if not self._ports:
            return
        for process in reversed(self._processes.values()):
            process.kill()
        for port in self._ports.values():
            port.close()
        self._ports = {}
        self._instance.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _running(self, name: str) -> bool:
        return name in self._processes and self._processes[name].running

    def _environment(self) -> dict[str, str]:
        # Nothing of the caller's: a proxy or a KUBECONFIG of theirs must not change what a test sees.
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.directory), "LANG": "C.UTF-8"}

    def _hosts(self) -> list[str]:
        issuer_host = self.issuer.removeprefix("https://").partition("/")[0].partition(":")[0]
        names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
        addresses = {"127.0.0.1": None, self.address: None, servers.KUBERNETES_SERVICE: None}
        return [*addresses, "localhost", *names, issuer_host]

    def _launch(
        self, name: str, command: Sequence[str], ready: Callable[[], bool] | None = None, timeout: float = 60.0
    ) -> None:
        self._processes[name] = processes.start(
            name, command, self.directory, env=self._environment(), ready=ready, timeout=timeout, keep_log=True
        )

    def _apiserver(self) -> servers.APIServer:
        return servers.APIServer(
            program=binaries.kubernetes("kube-apiserver"),
            directory=self.directory,
            address=self.address,
            port=self._ports["apiserver"].number,
            etcd=self._ports["etcd"].number,
            ca=self.ca,
            server=self._server_pair,
            kubelet_client=self._kubelet_pair,
            front_ca=self._front.certificate,
            front=self._front_pair,
            issuer=self.issuer,
            service_account_keys=self._service_account_keys,
        )

    def _start_etcd(self) -> None:
        client, peer = self._ports["etcd"].number, self._ports["etcd-peer"].number
        self._launch("etcd", servers.etcd(binaries.etcd(), self.directory, client, peer))

    def _start_controller_manager(self) -> None:
        program = binaries.kubernetes("kube-controller-manager")
        kubeconfig = self.kubeconfig_for("system:kube-controller-manager")
        port = self._ports["controller-manager"].number
        command = servers.controller_manager(program, self.directory, port, kubeconfig, self.ca)
        self._launch("controller-manager", command)

    def _open_discovery(self) -> None:
        # Relying parties read the issuer's documents without credentials.
        role = "system:service-account-issuer-discovery"
        self.client.ensure(
            f"{_RBAC}/clusterrolebindings",
            {
                "metadata": {"name": "testbed-issuer-discovery"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [
                    {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:unauthenticated"}
                ],
            },
        )

    def _furnish(self, namespace: str) -> None:
        base = f"{_API}/namespaces/{namespace}"
        if self._with_controller_manager:
            for path in ("serviceaccounts/default", "configmaps/kube-root-ca.crt"):
                self._patiently(lambda path=path: self.client.request("GET", f"{base}/{path}"))  # type: ignore[misc]
            return
        # Soon after it is ready, the API server makes the namespace `default`.
        self._patiently(lambda: self.client.ensure(f"{base}/serviceaccounts", {"metadata": {"name": "default"}}))
        roots = {"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": self.ca.read_text()}}
        self.client.ensure(f"{base}/configmaps", roots)

    def _patiently(self, action: Callable[[], object], timeout: float = 60.0) -> None:
        give_up = time.monotonic() + timeout
        while True:
            try:
                action()
                return
            except APIError as error:
                if error.status != 404 or time.monotonic() > give_up:
                    raise
            time.sleep(0.02)


def control_plane(
    *,
    controller_manager: bool = False,
    id: str | None = None,  # noqa: A002 - it is called that everywhere else
    issuer: str | None = None,
    apiserver_args: Sequence[str] = (),
    say: Say | None = None,
) -> ControlPlane:
    """Starts a control plane; returns when its API server is ready and the namespace ``default`` can take pods.

    It ends with `ControlPlane.stop`, with the ``with`` block, or with this process in whatever way. Kubernetes is
    built where it is not there yet, which takes minutes.

    Args:
        controller_manager: run kube-controller-manager too (namespaces are finalized, controllers make pods).
        id: a DNS label of at most 40 characters; default: a random one.
        issuer: the ``iss`` of its tokens; default: ``https://<id>.issuer.example``.
        apiserver_args: further flags of kube-apiserver.
        say: takes lines of progress; default: standard error.

    Raises:
        InstanceInUse: one of that id runs.
        ProcessError: a server did not start; the message has the end of its log.
        BuildError: Kubernetes cannot be built.
    """
    for name in pinned.CONTROL_PLANE if controller_manager else pinned.CONTROL_PLANE[:1]:
        binaries.kubernetes(name, say)
    return launch(
        instances.claim(id), controller_manager=controller_manager, issuer=issuer, apiserver_args=apiserver_args
    )


def launch(
    instance: instances.Instance,
    *,
    controller_manager: bool = False,
    issuer: str | None = None,
    apiserver_args: Sequence[str] = (),
) -> ControlPlane:
    """Starts a control plane in a directory that is ours: `control_plane` without the claiming and building."""
    running = ControlPlane(
        instance, controller_manager=controller_manager, issuer=issuer, apiserver_args=apiserver_args
    )
    try:
        running._start()
    except BaseException:
        running.stop()
        raise
    return running


def environment(state: Mapping[str, Any]) -> dict[str, str]:
    """The environment variables of a described control plane."""
    names = ("id", "url", "issuer", "ca", "directory")
    return {"KUBECONFIG": state["kubeconfig"], **{f"APOSTILLE_TESTBED_{name.upper()}": state[name] for name in names}}
