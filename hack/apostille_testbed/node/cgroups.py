"""The one thing of the machine that a node shares: a cgroup of its own in each hierarchy, removed afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

ROOT = "/apostille-testbed"
"""The kubelet's ``cgroupRoot``."""

_MOUNT = Path("/sys/fs/cgroup")
_NEEDED = ("cpu", "cpuset", "memory", "pids")
_GONE_SECONDS = 10.0


def unified() -> bool:
    """Whether there is one hierarchy (cgroup v2)."""
    return (_MOUNT / "cgroup.controllers").exists()


def missing() -> list[str]:
    """Controllers that a kubelet needs and this machine does not give."""
    if unified():
        there = (_MOUNT / "cgroup.controllers").read_text().split()
        return [name for name in _NEEDED if name not in there]
    return [name for name in _NEEDED if not os.access(_MOUNT / name / "cgroup.procs", os.W_OK)]


def make() -> None:
    """Makes the node's cgroup. Raises OSError."""
    if unified():
        for name in _NEEDED:
            if name not in (_MOUNT / "cgroup.subtree_control").read_text().split():
                (_MOUNT / "cgroup.subtree_control").write_text(f"+{name}")
    for hierarchy in _hierarchies():
        (hierarchy / ROOT.strip("/")).mkdir(exist_ok=True)


def remove() -> None:
    """Kills what still runs in it and removes it. Raises OSError where that takes too long."""
    give_up = time.monotonic() + _GONE_SECONDS
    for hierarchy in _hierarchies():
        root = hierarchy / ROOT.strip("/")
        while root.exists():
            folders = [Path(folder) for folder, _, _ in os.walk(root, topdown=False)]
            for folder in folders:
                with contextlib.suppress(OSError):
                    for pid in (folder / "cgroup.procs").read_text().split():
                        os.kill(int(pid), signal.SIGKILL)
                with contextlib.suppress(OSError):
                    folder.rmdir()
            if time.monotonic() > give_up:
                raise OSError(f"{root} cannot be removed")
            time.sleep(0.02)


def _hierarchies() -> list[Path]:
    if unified():
        return [_MOUNT]
    # With v1 hierarchies there may be a v2 one besides, without controllers: runc makes its cgroups there too.
    return [entry for entry in sorted(_MOUNT.iterdir()) if (entry / "cgroup.procs").exists()]
