"""Programs of the operating system that a node is made of: Debian's packages, installed where they are missing."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from apostille_testbed.golang import BuildError
from apostille_testbed.progress import Say

_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"

RUN: Mapping[str, str] = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "ip": "iproute2",
    "iptables": "iptables",
    "busybox": "busybox-static",
    "mount": "mount",
    "nsenter": "util-linux",
}
"""Program to Debian package: what a running node needs."""

BUILD: Mapping[str, str] = {"buildah": "buildah", "debootstrap": "debootstrap"}
"""What building an image needs."""


def missing(programs: Mapping[str, str]) -> dict[str, str]:
    """Those of ``programs`` that this machine does not have."""
    path = f"{os.environ.get('PATH', os.defpath)}:{_SBIN}"
    return {program: package for program, package in programs.items() if shutil.which(program, path=path) is None}


def installable() -> str | None:
    """Why packages cannot be installed here; None: they can."""
    if shutil.which("apt-get") is None:
        return "there is no apt-get"
    return None if os.geteuid() == 0 else "that needs root"


def require(programs: Mapping[str, str], say: Say) -> None:
    """Installs the packages of missing programs. Raises BuildError."""
    if not missing(programs):
        return
    with Path("/run/lock/apostille-testbed-apt").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        absent = missing(programs)
        if not absent:
            return
        names = sorted(set(absent.values()))
        if reason := installable():
            raise BuildError(f"missing {', '.join(absent)} (Debian: {' '.join(names)}), and {reason}")
        say(f"installing {' '.join(names)} (usually 10–60 s)")
        _apt("update")
        _apt("install", "--yes", "--no-install-recommends", *names)
    if absent := missing(programs):
        raise BuildError(f"the packages {' '.join(names)} do not bring {', '.join(absent)}")


def _apt(*arguments: str) -> None:
    done = subprocess.run(
        ["apt-get", "-qq", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BuildError(f"apt-get {' '.join(arguments)} failed:\n{_tail((done.stdout + done.stderr).splitlines())}")


def _tail(lines: Iterable[str]) -> str:
    return "\n".join(list(lines)[-20:])
