"""Whether this machine can run a node, and if not, why."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from apostille_testbed.cache import cache_folder
from apostille_testbed.node import cgroups, network, packages
from apostille_testbed.node.space import HIDDEN


def lacking() -> list[str]:
    """What stands in the way of a node here, a sentence each with its reason; empty: nothing.

    A missing package that can be installed does not stand in the way: `packages.require` installs it.
    """
    return list(_lacking())


def _lacking() -> Iterator[str]:
    if sys.platform != "linux":
        yield f"Linux: this is {sys.platform}"
        return
    absent = packages.missing({**packages.RUN, **packages.BUILD})
    if absent and (reason := packages.installable()):
        names = " ".join(sorted(set(absent.values())))
        yield f"programs: {', '.join(absent)} (Debian: {names}) are not here, and {reason}"
    if os.geteuid() != 0:
        yield "root: namespaces, mounts and cgroups of a kubelet need it"
        return
    if shortfall := cgroups.missing():
        yield f"cgroups: no writable {', '.join(shortfall)} controller"
    yield from _namespaces()
    for folder in HIDDEN:
        if cache_folder().is_relative_to(Path(folder).resolve()):
            yield f"cache: {cache_folder()} lies under {folder}, which a node hides; set APOSTILLE_CACHE"
    if shutil.which("ip") is not None and (route := network.taken()):
        yield f"network: the machine's route {route} overlaps the node's addresses"


def _namespaces() -> Iterator[str]:
    if problem := _trial("true"):
        yield f"namespaces: mount, network and process namespaces cannot be made ({problem})"
        return
    cache_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="trial-") as trial:
        folders = [f"{trial}/{name}" for name in ("lower", "upper", "work", "merged")]
        options = "lowerdir={},upperdir={},workdir={}".format(*folders[:3])
        if problem := _trial(f"mkdir {' '.join(folders)} && mount -t overlay overlay -o {options} {folders[3]}"):
            yield f"overlay: no overlay mounts in {cache_folder()} ({problem})"
    if shutil.which("ip") is not None:
        for kind, words in (("veth", "type veth peer name trial1"), ("bridge", "type bridge")):
            if problem := _trial(f"ip link add trial0 {words}"):
                yield f"{kind}: the kernel has no such device ({problem})"
    if shutil.which("iptables") is not None and (problem := _trial("iptables -t nat -A PREROUTING -j ACCEPT")):
        yield f"netfilter: no NAT table ({problem})"


def _trial(script: str) -> str | None:
    done = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-ec", script],
        capture_output=True,
        text=True,
        check=False,
    )
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no message"])[-1]
