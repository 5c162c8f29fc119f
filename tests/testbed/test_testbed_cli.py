"""``hack/testbed``: up, status, env, down; twice the same is once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from apostille_testbed import binaries, instances, processes
from apostille_testbed import control_plane as start

pytestmark = pytest.mark.integration


@pytest.fixture
def testbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Testbed:
    """The command line over an empty cache, with programs that are there."""
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(binaries.kubernetes("kube-apiserver").parent))
    monkeypatch.setenv("APOSTILLE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    return Testbed()


class Testbed:
    """Runs ``hack/testbed`` without the shell around it, which would make an environment in the empty cache."""

    __test__ = False

    def __call__(self, *arguments: str, code: int = 0) -> tuple[str, str]:
        """Returns standard output and error; asserts the exit code."""
        done = subprocess.run(
            [sys.executable, "-m", "apostille_testbed", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == code, done.stderr
        return done.stdout, done.stderr


def test_up_stays_is_used_by_env_and_goes_with_down(testbed: Testbed) -> None:
    try:
        _, first = testbed("up", "a")
        _, second = testbed("up", "a")
        exports, _ = testbed("env", "a")
        status = json.loads(testbed("status", "-o", "json")[0])[0]
        used = subprocess.run(
            ["sh", "-c", f"{exports}kubectl get namespaces -o name"], capture_output=True, text=True, check=True
        )
        table, _ = testbed("status")
    finally:
        _, down = testbed("down", "--all")

    assert "a is up at https://127.0.0.1:" in first
    assert "a runs already" in second
    assert "namespace/default" in used.stdout
    assert status["state"] == "Ready"
    assert status["issuer"] == "https://a.issuer.example"
    assert all(process["running"] for process in status["processes"].values())
    assert table.splitlines()[1].split()[:2] == ["a", "Ready"]
    assert "a is down" in down
    assert not any(processes.started(process["pid"]) for process in status["processes"].values())
    assert [path.name for path in instances.folder().iterdir()] == [".lock"]


@pytest.mark.e2e
def test_two_at_once_start_one(testbed: Testbed) -> None:
    try:
        with ThreadPoolExecutor(2) as pool:
            said = [errors for _, errors in pool.map(lambda _: testbed("up", "a"), range(2))]
        kept = sorted(path.name for path in instances.folder().iterdir())
    finally:
        testbed("down", "--all")

    assert all("a is up at https://127.0.0.1:" in errors for errors in said)
    assert sum("a runs already" in errors for errors in said) == 1
    assert kept == [".lock", "a"]


@pytest.mark.e2e
def test_up_after_a_kill_clears_what_was_left(testbed: Testbed) -> None:
    try:
        testbed("up", "a")
        os.kill(instances.live()["a"]["owner"]["pid"], signal.SIGKILL)

        _, again = testbed("up", "a")

        assert "cleared a, which a killed run left" in again
        assert json.loads(testbed("status", "-o", "json")[0])[0]["state"] == "Ready"
    finally:
        testbed("down", "--all")


@pytest.mark.e2e
def test_down_leaves_what_belongs_to_a_program(testbed: Testbed) -> None:
    with start(id="mine") as mine:
        testbed("down", "--all")
        _, refused = testbed("down", "mine", code=1)

        assert f"mine belongs to process {os.getpid()} and ends with it" in refused
        assert mine.client.ready()


def test_mistakes_are_told(testbed: Testbed) -> None:
    assert "'Wrong' is not a DNS label" in testbed("up", "Wrong", code=1)[1]
    assert "a does not run; start it: hack/testbed up a" in testbed("env", "a", code=1)[1]
    assert "a does not run" in testbed("down", "a")[1]
    assert "there is no program kubeadm" in testbed("build", "kubeadm", code=1)[1]
    assert "unknown flag: --no-such-flag" in testbed("up", "--apiserver-arg=--no-such-flag", code=1)[1]
    assert "nothing runs" in testbed("status")[1]
    assert [path.name for path in instances.folder().iterdir()] == [".lock"]


def test_build_names_the_programs_that_are_used(testbed: Testbed) -> None:
    _, said = testbed("build", "kube-apiserver")

    assert said == f"kube-apiserver: {binaries.kubernetes('kube-apiserver')}\n"
