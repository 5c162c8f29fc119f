"""A node goes without a trace, however it ends; a second one waits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from apostille_testbed import instances, node
from apostille_testbed.client import Client
from apostille_testbed.node import cgroups, lane, network
from apostille_testbed.progress import Console
from node.scene import apply, pod, ready, until

pytestmark = pytest.mark.usefixtures("alone")

PLACES = ("/run/containerd", "/run/netns", "/var/lib/cni", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods")
SYSCTLS = ("kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward", "vm/overcommit_memory")


def trace() -> dict[str, object]:
    """What a node could change on this machine."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        "links": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "routes": Path("/proc/net/route").read_text(),
        "filters": _iptables(),
        "sysctls": [Path("/proc/sys", name).read_text() for name in SYSCTLS],
        "places": [sorted(os.listdir(place)) if Path(place).exists() else None for place in PLACES],
        "mounts": [line for line in mounts if "kubelet" in line or "containerd" in line or "/cni" in line],
        "cgroups": sorted(str(path) for path in Path("/sys/fs/cgroup").glob(f"**{cgroups.ROOT}")),
    }


def trace_alone() -> dict[str, object]:
    """The same while no node runs on this machine: somebody else's changes it too."""
    lock = lane._take(Console())
    try:
        return trace()
    finally:
        os.close(lock)


def _iptables() -> list[str]:
    done = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if not line.startswith(("#", ":"))]


def containers() -> list[str]:
    """Command lines of containers' processes that this test would start."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if command == b"sleep\x0086399\x00":
                found.append(entry.name)
    return found


def command(*arguments: str) -> subprocess.Popen[str]:
    """Starts ``hack/testbed``."""
    return subprocess.Popen(
        [sys.executable, "-m", "apostille_testbed", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_node_leaves_nothing() -> None:
    before = trace_alone()

    with node() as running:
        apply(running, pod("runs", "default", "sleep", "86399"))
        ready(running, "runs", "default")
        directory = running.directory
        assert containers()
        assert trace() != before

    assert trace_alone() == before
    assert containers() == []
    assert not directory.exists()


def test_a_second_node_waits_and_clears_what_is_left_when_the_first_is_killed() -> None:
    before = trace_alone()
    bystander = subprocess.Popen(["sleep", "86398"])
    second = None
    try:
        up = command("up", "killed", "--node")
        told = up.communicate(timeout=240)[1]
        assert up.returncode == 0, told
        state = instances.live()["killed"]
        client = Client(int(state["url"].rpartition(":")[2]), Path(state["ca"]), address=network.MACHINE)
        run(state, "runs", "sleep", "86399")
        second = command("up", "second", "--node", "--foreground")
        assert second.stderr is not None
        said: list[str] = []
        for line in second.stderr:
            said.append(line)
            if "another node" in line:
                break
        owner = state["owner"]["pid"]
        assert f"another node runs on this machine (process {owner}), waiting for its end" in "".join(said)
        assert client.ready()
        until(lambda: bool(containers()), "the container to run")
        # Held where it is meanwhile: what goes now goes without it.
        second.send_signal(signal.SIGSTOP)

        os.kill(owner, signal.SIGKILL)

        # The kernel ends it all: nobody has to look for what was started.
        until(lambda: containers() == [], "the container to end")
        until(lambda: not Path("/sys/class/net", network.DEVICE).exists(), "the cable to go")
        second.send_signal(signal.SIGCONT)
        # It is its turn now.
        reader = threading.Thread(target=lambda: said.extend(second.stderr or ()))
        reader.start()
        until(lambda: any("second is up" in line for line in said), "the second node", within=120)
        run(instances.live()["second"], "again", "true")
        second.send_signal(signal.SIGTERM)
        assert second.wait(60) == 0
        reader.join()
        second.stderr.close()
        assert trace_alone() == before
        assert "killed" not in instances.live()
        instances.sweep()
        assert not Path(state["directory"]).exists()
        assert bystander.poll() is None
    finally:
        for process in filter(None, (second, bystander)):
            process.kill()
            process.wait()


def run(state: Mapping[str, Any], name: str, *command: str) -> None:
    """A pod on the node that another process runs."""
    subprocess.run(
        [Path(sys.executable).with_name("kubectl"), "run", name, "--image=localhost/busybox:1", "--", *command],
        env={**os.environ, "KUBECONFIG": state["kubeconfig"]}, check=True, capture_output=True,
    )  # fmt: skip
