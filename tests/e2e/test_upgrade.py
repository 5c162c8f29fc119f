"""Processes of 0.1.0 are replaced by those of this checkout under load, one after the other as Deployments do it."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from apostille_testbed import control_plane, processes
from apostille_testbed.chart import NAMESPACE, RELEASE, helm
from apostille_testbed.installation import CONTROLLER, ROOT
from apostille_testbed.processes import Process, Running
from e2e.replicated import Load, Replicated, load, terminate
from e2e.world import until

# The way with Helm, with a real Service between, is walked in tests/node/test_release.py.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

BEFORE = ROOT / "tests" / "releases" / "0.1.0"
INHERITED = f"/api/v1/namespaces/{NAMESPACE}/secrets/apostille-admission-certificate"
RIGHTS = (
    "anchor", "controller/lease", "controller/rbac", "admission/rbac", "restraints/controller", "restraints/prefixes",
)  # fmt: skip


class Upgraded(Replicated):
    """Begins as 0.1.0: its wheel, its kinds, its rights, and the certificate that its chart made."""

    old = True

    def install(self) -> None:
        if not self.old:
            super().install()
            # As the chart renders it where it finds that Secret.
            name = INHERITED.rpartition("/")[2]
            rights = ("--verb=get,list,watch", "--resource=secrets", f"--resource-name={name}", f"-n={NAMESPACE}")
            self.plane.kubectl("create", "role", "inherited", *rights)
            account = f"--serviceaccount={NAMESPACE}:{CONTROLLER}"
            self.plane.kubectl("create", "rolebinding", "inherited", "--role=inherited", account, f"-n={NAMESPACE}")
            return
        # Unpacked: of an archive Python keeps no bytecode.
        shutil.unpack_archive(BEFORE / "apostille-0.1.0-py3-none-any.whl", self._directory / "wheel", "zip")
        # The first Pythons 3.11 have no filter for archives yet, and later ones demand it.
        subprocess.run(["tar", "-xzf", BEFORE / "apostille-0.1.0.tgz", "-C", self._directory], check=True)
        chart, kubectl = self._directory / "apostille", self.plane.kubectl
        kubectl("apply", "-f", chart / "crds")
        kubectl("wait", "--for=condition=Established", "--timeout=60s", "crd/federationtrusts.apostille.dev")
        kubectl("create", "namespace", NAMESPACE)
        show = [f"--show-only=templates/{name}.yaml" for name in RIGHTS]
        rendered = helm("template", RELEASE, chart, f"--namespace={NAMESPACE}", *show)
        kubectl("apply", "-f", "-", input=rendered)
        certificate, key = self.plane.authority.server("released", ["127.0.0.1"])
        self._files = {"tls.crt": certificate, "tls.key": key, "ca.crt": self.plane.ca}
        data = {name: base64.b64encode(path.read_bytes()).decode() for name, path in self._files.items()}
        body = {"metadata": {"name": INHERITED.rpartition("/")[2]}, "type": "kubernetes.io/tls", "data": data}
        self.plane.client.request("POST", INHERITED.rpartition("/")[0], body)

    def _old(self, name: str, *arguments: str) -> Process:
        if name in self._running:
            self._running[name].kill()
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(self._directory / "wheel"), "HOME": "/"}
        command = [sys.executable, "-m", "apostille.cli.main", *arguments, f"--kubeconfig={self._kubeconfig(name)}"]
        started = processes.start(name, command, self._directory, env=environment, keep_log=True)
        self._running[name] = started
        return started

    def start_controller(self) -> Running:
        if not self.old:
            return super().start_controller()
        log = self._directory / f"{CONTROLLER}.log"
        self._begun[CONTROLLER] = log.stat().st_size if log.exists() else 0
        return self._old(
            CONTROLLER, "controller", f"--admission-url={self.url}", f"--ca-bundle={self._files['ca.crt']}",
            "--identity=old", "--metrics-host=127.0.0.1", f"--metrics-port={self._controller_port}", "--allow-loopback",
        )  # fmt: skip

    def start_replica(self, name: str, *, wait: bool = True) -> Running:
        if not self.old:
            return super().start_replica(name, wait=wait)
        process = self._old(
            name, "admission", "--host=127.0.0.1", f"--port={self.ports[name]}", "--allow-loopback",
            f"--certificate={self._files['tls.crt']}", f"--key={self._files['tls.key']}",
        )  # fmt: skip
        if wait:
            until(lambda: self.ports[name].number in self.balancer.ready, f"{name} is ready")
        return process

    def roll(self, found: Load) -> None:
        """Controller and admission servers, one after the other: each ends when it is asked to."""
        done = found.done
        until(lambda: found.done > done + 20, "the load goes on")
        assert terminate(self.process(CONTROLLER)) == 0
        self.start_controller()
        until(lambda: self.controller("/readyz")[0] == 200, "the controller leads")
        for name in self.ports:
            assert terminate(self.process(name)) == 0
            self.start_replica(name)
        done = found.done
        until(lambda: found.done > done + 20, "the load goes on")


@pytest.fixture(params=["kept", "removed"])
def world(request: pytest.FixtureRequest) -> Iterator[tuple[Upgraded, bool]]:
    """The Secret of 0.1.0 is there after the upgrade, as with Helm, or was removed, as tools do that prune."""
    kept = request.param == "kept"
    with control_plane() as plane, Upgraded(plane, lame_duck=2) as world:
        world.settle("busy")
        world.inherited = INHERITED.rpartition("/")[2] if kept else ""
        yield world, kept


def test_an_upgrade_from_0_1_0_loses_no_call(world: tuple[Upgraded, bool]) -> None:
    """And, where its certificate is still there, the way back."""
    upgraded, kept = world
    with load(upgraded, "busy") as found:
        if not kept:
            upgraded.plane.client.request("DELETE", INHERITED)
        upgraded.old = False
        upgraded.install()
        upgraded.roll(found)
        leaf = upgraded.rest()
        print(f"\nupgraded, certificate {'kept' if kept else 'removed'}: {found}")
        assert found.failed == []
        upgraded.settle("new")
        if kept:
            assert upgraded.bundles().popitem()[1].strip() == Path(upgraded.plane.ca).read_text().strip()
            upgraded.old = True
            upgraded.roll(found)
            print(f"and back: {found}")
            assert all(upgraded.leaf(name) == leaf for name in upgraded.ports)
        assert found.failed == []
