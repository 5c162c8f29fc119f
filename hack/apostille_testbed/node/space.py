"""Namespaces in which a node lives: nothing it mounts, routes, filters or leaves running is in the machine's own.

The kernel clears them: when their first process ends, every process in them is killed, and mounts, interfaces and
packet filters go with the last of them. So there is nothing to restore after a killed run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from apostille_testbed import processes
from apostille_testbed.processes import Process, ProcessError

_INIT = Path(__file__).with_name("_init.py")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

HIDDEN = ("/run", "/var/lib", "/var/log")
"""Folders in which a kubelet, containerd and CNI plugins write at fixed places: empty and private in a space."""

# What a kubelet sets for the whole machine when it finds something else, and so does not set here.
_FOUND_SET = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


class Space:
    """Private mount, network and process namespaces. Needs root."""

    def __init__(self, directory: Path, pid: int, holder: Process | None = None) -> None:
        """Those of process ``pid``, which is in them; `make` makes new ones."""
        self.directory = directory
        """Where its programs have their logs; the same path inside and outside."""
        self.pid = pid
        """Its first process, by its id outside."""
        self._holder = holder

    @classmethod
    def make(cls, directory: Path) -> Self:
        """New ones, whose programs belong to ``directory``. Raises ProcessError."""
        there = directory / "space.ready"
        there.unlink(missing_ok=True)
        holder = processes.start(
            "space",
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
             sys.executable, "-I", "-S", _INIT, there],
            directory,
            env=_environment(directory),
            ready=there.exists,
        )  # fmt: skip
        try:
            space = cls(directory, _child(holder.pid), holder)
            space._hide()
        except BaseException:
            holder.kill()
            raise
        return space

    def run(self, *argv: str | Path, timeout: float = 60.0) -> str:
        """Runs a program in it; returns its standard output. Raises ProcessError."""
        done = subprocess.run(
            self._inside(argv),
            env=_environment(self.directory),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
        if done.returncode != 0:
            command = " ".join(map(str, argv))
            raise ProcessError(f"{command}: exit code {done.returncode}\n{(done.stderr or done.stdout).strip()}")
        return done.stdout

    def start(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        ready: Callable[[], bool] | None = None,
        timeout: float = 60.0,
    ) -> Process:
        """Starts a program in it: `processes.start`."""
        return processes.start(
            name,
            self._inside(argv),
            self.directory,
            env=_environment(self.directory),
            ready=ready,
            timeout=timeout,
            keep_log=True,
        )

    def close(self) -> None:
        """Ends everything in it, where this process made it."""
        if self._holder is not None:
            self._holder.kill()

    def _inside(self, argv: Sequence[str | Path]) -> list[str]:
        return ["nsenter", f"--target={self.pid}", "--mount", "--net", "--pid", "--", *map(str, argv)]

    def _hide(self) -> None:
        script = [f"mount -t tmpfs -o mode=0755 tmpfs {path}" for path in HIDDEN]
        values = self.directory / "sysctl"
        for name, value in _FOUND_SET.items():
            file = values / name
            if Path("/proc/sys", name).exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(f"{value}\n")
                script.append(f"mount --bind '{file}' /proc/sys/{name}")
        self.run("sh", "-ec", "\n".join(script))


def _environment(directory: Path) -> Mapping[str, str]:
    return {"PATH": _PATH, "LANG": "C.UTF-8", "HOME": str(directory)}


def _child(parent: int) -> int:
    # unshare has one child for as long as it lives.
    give_up = time.monotonic() + 10
    while time.monotonic() < give_up:
        for entry in os.listdir("/proc"):
            if entry.isdigit() and processes.parent(int(entry)) == parent:
                return int(entry)
    raise ProcessError("unshare has no child")
