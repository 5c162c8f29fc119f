"""A control plane with one real node: kubelet, kube-proxy, containerd, runc and CNI run its pods on this machine."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from apostille_testbed import binaries, instances, pinned, servers
from apostille_testbed.client import APIError
from apostille_testbed.control_plane import ControlPlane
from apostille_testbed.node import archive, capabilities, cgroups, kubelet, network, packages
from apostille_testbed.node.containerd import SOCKET, Containerd
from apostille_testbed.node.space import Space
from apostille_testbed.processes import ProcessError
from apostille_testbed.progress import Console, Say

LOCK = Path("/run/lock/apostille-testbed-node")
"""Held by the one node of this machine, whoever runs it."""

_READY_SECONDS = 180.0
_SOCKET_BYTES = 107
_LONGEST_SOCKET = "kubelet/root/device-plugins/kubelet.sock"
_KUBELET_TRIES = 10


class NodeUnavailable(RuntimeError):
    """This machine cannot run a node; the message says why."""


class Machine:
    """This machine, taken for one node: the lock, the namespaces of the node and its network."""

    def __init__(self, directory: Path, say: Say) -> None:
        """Waits until no other node runs here, and clears what a killed one left. Raises ProcessError, OSError."""
        self._lock = _take(say)
        try:
            network.disconnect()
            cgroups.remove()
            cgroups.make()
            self.space = Space.make(directory)
            network.connect(self.space)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Ends everything of the node and gives the machine back. May be called again."""
        if self._lock < 0:
            return
        if hasattr(self, "space"):
            self.space.close()
        cgroups.remove()
        os.close(self._lock)
        self._lock = -1


class Node(ControlPlane):
    """A running control plane with a node; made by `node`. Use it in a ``with`` block, or call `stop`.

    Pods reach the API server and whatever listens on `address`, such as relying parties; nothing else of the world.
    This machine reaches pods and ClusterIPs, so webhooks of the cluster are called.
    """

    def __init__(
        self, instance: instances.Instance, machine: Machine, *, issuer: str | None, apiserver_args: Sequence[str]
    ) -> None:
        # Pods find the API server by the service `kubernetes`.
        registers = ["--endpoint-reconciler-type=lease"]
        super().__init__(
            instance,
            controller_manager=True,
            issuer=issuer,
            apiserver_args=[*registers, *apiserver_args],
            address=network.MACHINE,
        )
        self.name = kubelet.NAME
        """The name of its only node."""
        self._machine = machine
        self._space = machine.space
        self._containerd = Containerd(self._space)

    def describe(self) -> dict[str, Any]:
        """As `ControlPlane.describe`."""
        return {**super().describe(), "node": {"name": self.name, "pid": self._space.pid}}

    def load(self, image: Path) -> str:
        """Takes in the image of a docker-archive, unless it is there; returns its name. Raises ProcessError."""
        return self._containerd.load(image)

    def name_image(self, image: str, other: str) -> None:
        """Has an image under another name too, such as the one in a public registry. Raises ProcessError."""
        self._containerd.name(image, other)

    def restart_kubelet(self) -> None:
        """Stops and starts the kubelet; pods go on meanwhile. Raises ProcessError."""
        self._processes["kubelet"].kill()
        self._start_kubelet()

    def stop(self) -> None:
        """Ends everything at once, pods included, and removes the directory. May be called again."""
        self._machine.release()
        super().stop()

    def _start(self) -> None:
        with ThreadPoolExecutor(1) as pool:
            self._images: Future[None] = pool.submit(self._start_containerd)
            super()._start()

    def _start_further(self) -> None:
        scheduler = self.kubeconfig_for("system:kube-scheduler")
        program = binaries.kubernetes("kube-scheduler")
        self._launch("scheduler", servers.scheduler(program, self.directory, scheduler))
        self._kubelet_command = self._configure_kubelet()
        self._images.result()
        self._start_kubelet()
        proxy = self.kubeconfig_for("system:kube-proxy")
        configuration = self._space.directory / "kube-proxy.yaml"
        configuration.write_text(kubelet.proxy_configuration(proxy))
        self._processes["kube-proxy"] = self._space.start(
            "kube-proxy", [binaries.kubernetes("kube-proxy"), f"--config={configuration}"], ready=_proxy_healthy
        )
        self._await_node()

    def _start_containerd(self) -> None:
        self._processes["containerd"] = self._containerd.start(network.cni(self._space.directory / "cni"))
        self._containerd.clean()
        for image in archive.small_images(Console()):
            self._containerd.load(image)

    def _configure_kubelet(self) -> list[str]:
        folder = self._space.directory / "kubelet"
        folder.mkdir()
        pair = self.authority.server("kubelet", [network.NODE, self.name])
        file = folder / "config.json"
        file.write_text(kubelet.configuration(folder, SOCKET, self.ca, pair))
        kubeconfig = self.kubeconfig_for(f"system:node:{self.name}", ["system:nodes"])
        return [
            str(binaries.kubernetes("kubelet")),
            f"--config={file}",
            f"--kubeconfig={kubeconfig}",
            f"--root-dir={folder / 'root'}",
            f"--cert-dir={folder / 'pki'}",
            f"--hostname-override={self.name}",
            f"--node-ip={network.NODE}",
        ]

    def _start_kubelet(self) -> None:
        for attempt in range(_KUBELET_TRIES):
            try:
                self._processes["kubelet"] = self._space.start("kubelet", self._kubelet_command, ready=_kubelet_healthy)
                return
            except ProcessError:
                # It gives up where the runtime still looks through what a run before left.
                if attempt + 1 == _KUBELET_TRIES:
                    raise
                time.sleep(0.2)

    def _await_node(self) -> None:
        give_up = time.monotonic() + _READY_SECONDS
        reason = "it has not registered"
        while time.monotonic() < give_up:
            with contextlib.suppress(APIError):
                conditions = self.client.request("GET", f"/api/v1/nodes/{self.name}")["status"].get("conditions", [])
                ready = next((item for item in conditions if item["type"] == "Ready"), None)
                if ready is not None and ready["status"] == "True":
                    return
                reason = "no condition Ready" if ready is None else ready["message"]
            time.sleep(0.05)
        raise ProcessError(f"the node is not ready: {reason}\n{self._processes['kubelet'].tail()}")


def node(
    *,
    id: str | None = None,  # noqa: A002 - as `control_plane`
    issuer: str | None = None,
    apiserver_args: Sequence[str] = (),
    say: Say | None = None,
) -> Node:
    """Starts a control plane with a node; returns when pods can run. One runs on a machine at a time: others wait.

    It ends with `Node.stop`, with the ``with`` block, or with this process in whatever way. What it needs and is not
    there yet is installed or built, which takes minutes.

    Args:
        id: a DNS label of at most 40 characters; default: a random one.
        issuer: the ``iss`` of its tokens; default: ``https://<id>.issuer.example``.
        apiserver_args: further flags of kube-apiserver.
        say: takes lines of progress; default: standard error.

    Raises:
        NodeUnavailable: this machine cannot run one; the message says why.
        InstanceInUse: one of that id runs.
        ProcessError: something did not start; the message has the end of its log.
        BuildError: something cannot be built or installed.
    """
    prepare(say or Console())
    return launch(instances.claim(id), issuer=issuer, apiserver_args=apiserver_args, say=say)


def prepare(say: Say) -> None:
    """Installs and builds what a node needs. Raises NodeUnavailable, BuildError."""
    if lacking := capabilities.lacking():
        raise NodeUnavailable("this machine cannot run a node:\n" + "\n".join(f"  {reason}" for reason in lacking))
    packages.require(packages.RUN, say)
    for name in pinned.PROGRAMS:
        binaries.kubernetes(name, say)


def launch(
    instance: instances.Instance,
    *,
    issuer: str | None = None,
    apiserver_args: Sequence[str] = (),
    say: Say | None = None,
) -> Node:
    """Starts a node in a directory that is ours: `node` without the preparing and claiming."""
    directory = instance.directory / "node"
    try:
        _fits(directory / _LONGEST_SOCKET)
        machine = Machine(directory, say or Console())
    except BaseException:
        instance.release()
        raise
    try:
        running = Node(instance, machine, issuer=issuer, apiserver_args=apiserver_args)
    except BaseException:
        machine.release()
        instance.release()
        raise
    try:
        running._start()
    except BaseException:
        running.stop()
        raise
    return running


def load(state: Mapping[str, Any], image: Path) -> str:
    """Takes an image in where another process runs the node that is described. Raises ProcessError."""
    return Containerd(Space(Path(state["directory"]) / "node", state["node"]["pid"])).load(image)


def busy() -> str | None:
    """The id of the process whose node runs on this machine; None: none does."""
    try:
        lock = os.open(LOCK, os.O_RDWR)
    except (FileNotFoundError, PermissionError):
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return _holder(lock)
    finally:
        os.close(lock)


def clear() -> None:
    """Removes what a killed node left. Where a node runs it does nothing. Raises OSError."""
    if os.geteuid() != 0 or not LOCK.exists() or busy():
        return
    lock = _take(Console())
    try:
        network.disconnect()
        cgroups.remove()
    finally:
        os.close(lock)


def _fits(socket: Path) -> None:
    """Raises NodeUnavailable where the address of a kubelet's socket is longer than Linux takes (unix(7))."""
    if (length := len(os.fsencode(socket))) > _SOCKET_BYTES:
        raise NodeUnavailable(
            f"this machine cannot run a node in {socket.parents[4]}: its kubelet's socket {socket} has {length} bytes, "
            f"Linux takes {_SOCKET_BYTES}; set APOSTILLE_CACHE to a shorter path"
        )


def _holder(lock: int) -> str:
    return os.pread(lock, 100, 0).decode() or "unknown"


def _take(say: Say) -> int:
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another node runs on this machine (process {_holder(lock)}), waiting for its end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _kubelet_healthy() -> bool:
    return _healthy(kubelet.HEALTH_PORT)


def _proxy_healthy() -> bool:
    return _healthy(kubelet.PROXY_HEALTH_PORT)


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(network.NODE, port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
