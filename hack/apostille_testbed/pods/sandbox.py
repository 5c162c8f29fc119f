"""The runner's side of a pod's namespaces: starts `inside.py` and speaks to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apostille_testbed.processes import MARK
from apostille_testbed.scratch import Scratch

log = logging.getLogger("apostille.testbed.pods")
INSIDE = Path(__file__).with_name("inside.py")
# RFC 2544 benchmarking range: never routed, so a name that resolves there cannot reach anything but our forwarders.
ROUTES_NETWORK = ("198.18.0.1", "255.254.0.0")


class SandboxError(Exception):
    """The namespaces or a container could not be made; the message names the step."""


@dataclass(frozen=True)
class Mount:
    """`source` is relative to the pod's volumes directory (volume name, then the subPath)."""

    source: str
    path: str
    read_only: bool


@dataclass(frozen=True)
class Process:
    """What one container runs: `argv`, complete `env`, working directory, numeric identity, mounts, log file."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    mounts: Sequence[Mount]
    uid: int
    gid: int
    read_only_root: bool
    output: Path


@dataclass(frozen=True)
class Shape:
    """What a sandbox is made from. `memory` maps volume names to tmpfs options; `pod_ip` is an address on its lo."""

    directory: Path
    logs: Path
    hostname: str
    hosts: str
    pod_ip: str
    memory: Mapping[str, str]
    isolated: bool
    parents: Sequence[Path] = ()


class Sandbox:
    """One pod's namespaces with the processes in them. Made by `create`, ended by `close`."""

    def __init__(self, link: socket.socket, helper: subprocess.Popen[bytes]) -> None:
        self._link = link
        self._helper = helper
        self._number = 0
        self._replies: dict[int, asyncio.Future[tuple[dict[str, Any], list[int]]]] = {}
        self._exits: dict[int, asyncio.Future[int]] = {}
        self._loop = asyncio.get_running_loop()
        self._closed = False

    @classmethod
    async def create(cls, shape: Shape) -> Sandbox:
        """Makes the namespaces. Raises SandboxError where the machine refuses them.

        `shape.directory`/volumes may already hold the volumes; memory volumes are mounted inside only.
        """
        directory = shape.directory
        for name in ("root", "scratch", "etc", "volumes"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        shape.logs.mkdir(parents=True, exist_ok=True)
        (directory / "etc/hosts").write_text(shape.hosts)
        (directory / "etc/hostname").write_text(shape.hostname + "\n")
        (directory / "etc/resolv.conf").write_text("# names come from /etc/hosts; there is no resolver\n")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            helper = subprocess.Popen(
                [sys.executable, "-I", "-S", str(INSIDE), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # Nothing of ours but whose it is, by which `processes.clear` knows it.
                env={MARK: os.environ[MARK]} if MARK in os.environ else {},
                start_new_session=True,  # a Ctrl-C at the terminal reaches the runner, which ends its pods in order
                cwd="/",
            )
        ours.setblocking(False)
        sandbox = cls(ours, helper)
        order = {
            "directory": str(directory),
            "logs": str(shape.logs),
            "parents": [str(parent) for parent in shape.parents],
            "isolated": shape.isolated,
            "hostname": shape.hostname[:63],
            "addresses": [ROUTES_NETWORK, (shape.pod_ip, "255.255.255.255")],
            "memory": dict(shape.memory),
        }
        try:
            await sandbox._loop.sock_sendall(ours, json.dumps(order).encode())
            answer = json.loads(await sandbox._loop.sock_recv(ours, 65536) or b'{"error": "the pod process ended"}')
            if "error" in answer:
                raise SandboxError(answer["error"])
        except BaseException:
            ours.close()
            await asyncio.to_thread(helper.wait)
            raise
        sandbox._loop.add_reader(ours.fileno(), sandbox._receive)
        return sandbox

    def _receive(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._link, 65536, 4)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        if not data:
            self._lost()
            return
        message = json.loads(data)
        if "exited" in message:
            self._exit(message["exited"]).set_result(message["code"])
            return
        future = self._replies.pop(message["id"])
        if future.done():  # nobody waits any more
            for descriptor in descriptors:
                socket.socket(fileno=descriptor).close()
        else:
            future.set_result((message, descriptors))

    def _lost(self) -> None:
        """The pod's first process is gone and with it everything in the pod."""
        self._loop.remove_reader(self._link.fileno())
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(SandboxError("the pod's sandbox is gone"))
        self._replies.clear()
        for waiting in self._exits.values():
            if not waiting.done():
                waiting.set_result(-9)
        self._closed = True

    async def _ask(self, **order: Any) -> tuple[dict[str, Any], list[int]]:
        if self._closed:
            raise SandboxError("the pod's sandbox is gone")
        self._number += 1
        future: asyncio.Future[tuple[dict[str, Any], list[int]]] = self._loop.create_future()
        self._replies[self._number] = future
        try:
            await self._loop.sock_sendall(self._link, json.dumps({"id": self._number, **order}).encode())
        except OSError as error:
            raise SandboxError("the pod's sandbox is gone") from error
        message, descriptors = await future
        if "error" in message:
            raise SandboxError(message["error"])
        return message, descriptors

    def _exit(self, pid: int) -> asyncio.Future[int]:
        return self._exits.setdefault(pid, self._loop.create_future())

    async def start(self, process: Process) -> int:
        """Starts a container's first process; returns its process id inside the pod. Raises SandboxError."""
        mounts = [{"source": item.source, "path": item.path, "readOnly": item.read_only} for item in process.mounts]
        message, _ = await self._ask(
            op="start",
            argv=list(process.argv),
            env=dict(process.env),
            cwd=process.cwd,
            mounts=mounts,
            uid=process.uid,
            gid=process.gid,
            readOnlyRoot=process.read_only_root,
            outputs=[str(process.output)],
        )
        return int(message["pid"])

    async def execute(
        self, pid: int, argv: Sequence[str], process: Process, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        """Runs `argv` in the container whose first process is `pid`, with its environment; killed after `seconds`.

        Raises SandboxError when it cannot start, TimeoutError when it does not end.
        """
        with tempfile.TemporaryDirectory(prefix="exec-", dir=process.output.parent) as folder:
            outputs = [Path(folder, "stdout"), Path(folder, "stderr")]
            message, _ = await self._ask(
                op="exec",
                container=pid,
                argv=list(argv),
                env=dict(process.env),
                cwd=process.cwd,
                outputs=[str(path) for path in outputs],
            )
            try:
                # Not wait_for: before Python 3.12 it swallows a cancellation that comes with the result.
                async with asyncio.timeout(seconds):
                    code = await self.wait(message["pid"])
            except (TimeoutError, asyncio.CancelledError):
                with contextlib.suppress(SandboxError):
                    await self.signal(message["pid"], 9)
                raise
            texts = [path.read_text(errors="replace") for path in outputs]
        return subprocess.CompletedProcess(list(argv), code, *texts)

    async def wait(self, pid: int) -> int:
        """Waits for a process to end; its exit code, or minus the signal that ended it."""
        return await asyncio.shield(self._exit(pid))

    async def signal(self, pid: int, number: int) -> None:
        await self._ask(op="signal", pid=pid, signal=number)

    async def dial(self) -> socket.socket:
        """A TCP socket that lives in the pod's network: connect it to 127.0.0.1 to reach the pod's own ports."""
        _, descriptors = await self._ask(op="socket")
        return self._adopt(descriptors)

    async def listen(self, address: str, port: int) -> socket.socket:
        """A listening TCP socket in the pod's network; accepting from it needs no process in the pod."""
        _, descriptors = await self._ask(op="socket", listen=[address, port])
        return self._adopt(descriptors)

    @staticmethod
    def _adopt(descriptors: list[int]) -> socket.socket:
        made = socket.socket(fileno=descriptors[0])
        made.setblocking(False)
        return made

    async def close(self) -> None:
        """Ends every process of the pod and removes its directory; its logs stay."""
        if not self._closed:
            with contextlib.suppress(SandboxError):
                await self._ask(op="close")
            if not self._closed:
                self._lost()
        self._link.close()
        await asyncio.to_thread(self._helper.wait)


@dataclass(frozen=True)
class Isolation:
    """Whether pods get namespaces of their own, and the line that says so."""

    namespaces: bool
    message: str


def decide(problem: str | None) -> Isolation:
    """The mode for this machine. `problem`: why namespaces cannot be had, None when they can."""
    if problem is None:
        return Isolation(True, "pods: a user, mount, network and PID namespace each")
    return Isolation(
        False,
        f"pods: NO namespaces on this machine ({problem}): one pod at a time, volumes linked at their real paths, "
        "the host's network, routes ignored",
    )


async def detect() -> Isolation:
    """Finds out by making a pod and running `true` in it."""
    scratch = Scratch("pod-probe")
    folder = scratch.directory
    shape = Shape(folder / "pod", folder / "logs", "probe", "", "198.19.255.254", {"m": "mode=777"}, True)
    problem = None
    try:
        (shape.directory / "volumes/m").mkdir(parents=True)
        sandbox = await Sandbox.create(shape)
        try:
            mount = Mount("m", "/var/run/probe/m", True)
            process = Process(["true"], {"PATH": "/usr/bin:/bin"}, "/", [mount], 1000, 1000, True, shape.logs / "true")
            if code := await sandbox.wait(await sandbox.start(process)):
                problem = f"a container ended with {code}"
        finally:
            await sandbox.close()
    except (SandboxError, OSError) as error:
        problem = str(error)
    finally:
        scratch.close()
    return decide(problem)
