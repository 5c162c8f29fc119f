"""What the testbed starts ends with it; what a killed run left is cleared, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from apostille_testbed import ProcessError, binaries, instances, leftovers, processes
from apostille_testbed.scratch import Scratch

SLEEPS = ["sleep", "600"]


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Waits for it. Raises AssertionError."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it did not happen"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody waits for counts."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_program_is_ready_before_it_is_handed_over_and_gone_after_stop(tmp_path: Path) -> None:
    script = "echo up; touch ready; exec sleep 600"

    process = processes.start("one", ["sh", "-c", script], tmp_path, ready=(tmp_path / "ready").exists)

    assert process.running
    assert process.returncode is None
    assert process.tail() == "up"
    assert json.loads((tmp_path / "one.pid").read_text())["pid"] == process.pid
    process.stop()
    assert not process.running
    assert process.returncode == -signal.SIGTERM
    assert not (tmp_path / "one.pid").exists()


def test_a_program_that_ends_early_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match=r"early ended with 3:\nwrong flag"):
        processes.start("early", ["sh", "-c", "echo wrong flag; exit 3"], tmp_path, ready=lambda: False)


def test_a_program_that_is_never_ready_is_killed(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match=r"late is not ready after 0.2 s"):
        processes.start("late", ["sh", "-c", "echo $$ >pid; exec sleep 600"], tmp_path, ready=bool, timeout=0.2)

    assert gone(int((tmp_path / "pid").read_text()))


def test_a_program_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="there is no program no-such-program"):
        processes.start("none", ["no-such-program"], tmp_path)


def test_stop_ends_children_too_and_those_that_ignore_it(tmp_path: Path) -> None:
    script = "trap '' TERM; sh -c \"trap '' TERM; echo \\$\\$ >child; sleep 600; sleep 600\" & wait; wait"
    process = processes.start("deaf", ["sh", "-c", script], tmp_path, ready=lambda: filled(tmp_path / "child"))

    process.stop(grace=0.1)

    until(lambda: gone(int((tmp_path / "child").read_text())))


def filled(path: Path) -> bool:
    """Whether a file is there and written."""
    return path.exists() and path.read_text().endswith("\n")


def run_and_be_killed(tmp_path: Path, script: str) -> None:
    """Runs Python until it has written the file ``ready``, then kills it: nothing of its own cleaning happens."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    environment = os.environ | {"PYTHONPATH": path}
    with subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, env=environment) as victim:
        try:
            until(lambda: filled(tmp_path / "ready") or victim.poll() is not None, 60)
            assert victim.poll() is None, "it ended by itself"
        finally:
            victim.kill()


def test_a_killed_parent_takes_its_programs_along(tmp_path: Path) -> None:
    run_and_be_killed(
        tmp_path,
        """
import pathlib, threading, time
from apostille_testbed import processes
def work():
    process = processes.start("one", ["sleep", "600"], pathlib.Path("run"))
    pathlib.Path("ready").write_text(f"{process.pid}\\n")
thread = threading.Thread(target=work)
thread.start(); thread.join()
time.sleep(600)
""",
    )

    until(lambda: gone(int((tmp_path / "ready").read_text())))


def test_clear_ends_what_a_killed_program_had_started_and_nothing_else(tmp_path: Path) -> None:
    ours, other = tmp_path / "ours", tmp_path / "ours-too"
    # One child keeps the environment; one, like a container, gets its own but stays in the session.
    script = "sleep 600 & echo $! >kept; env -i sleep 600 & echo $! >bare; wait"
    process = processes.start(
        "one", ["sh", "-c", script], ours, ready=lambda: filled(ours / "kept") and filled(ours / "bare")
    )
    bystander = processes.start("one", SLEEPS, other)
    children = [int((ours / name).read_text()) for name in ("kept", "bare")]

    killed = processes.clear(ours)

    assert set(killed) == {process.pid, *children}
    until(lambda: all(gone(pid) for pid in (process.pid, *children)))
    assert bystander.running
    process.stop()
    bystander.stop()


def test_clear_leaves_a_process_that_only_has_the_noted_id(tmp_path: Path) -> None:
    with subprocess.Popen(SLEEPS, start_new_session=True) as stranger:
        (tmp_path / "one.pid").write_text(json.dumps({"pid": stranger.pid, "started": 1}))

        assert processes.clear(tmp_path) == []

        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.integration
@pytest.mark.e2e
def test_the_next_start_clears_a_killed_control_plane_and_leaves_a_living_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(binaries.kubernetes("kube-apiserver").parent))
    # A cache of its own: any other run on this machine would clear it too.
    monkeypatch.setenv("APOSTILLE_CACHE", str(tmp_path / "cache"))
    living = instances.claim("living")
    bystander = processes.start("one", SLEEPS, living.directory)
    run_and_be_killed(
        tmp_path,
        """
import json, pathlib, time
from apostille_testbed import control_plane
running = control_plane(id="victim")
file = pathlib.Path("ready.new")
file.write_text(json.dumps(running.describe()["processes"]) + "\\n")
file.rename("ready")
time.sleep(600)
""",
    )
    left = json.loads((tmp_path / "ready").read_text())
    until(lambda: all(gone(pid) for pid in left.values()))
    assert (instances.folder() / "victim").exists()

    again = instances.claim("victim")

    assert sorted(left) == ["apiserver", "etcd"]
    assert not (again.directory / "etcd").exists()
    assert set(instances.live()) == {"living", "victim"}
    assert bystander.running
    bystander.stop()
    again.release()
    living.release()
    assert instances.live() == {}
    assert instances.sweep() == []


def test_a_killed_process_leaves_no_temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APOSTILLE_CACHE", str(tmp_path / "cache"))
    held = Scratch("held")
    script = """
import pathlib, time
from apostille_testbed.scratch import Scratch
left = Scratch("left")
pathlib.Path("ready").write_text(f"{left.directory}\\n")
time.sleep(600)
"""
    run_and_be_killed(tmp_path, script)
    left = Path((tmp_path / "ready").read_text().strip())
    assert left.exists()

    assert instances.sweep() == []

    assert not left.exists()
    assert held.directory.exists()
    held.close()
    assert not held.directory.exists()


def test_links_of_a_killed_pod_go_and_those_of_others_stay(tmp_path: Path) -> None:
    pod, made, used = tmp_path / "run/nodes/n/pods/u", tmp_path / "made", tmp_path / "used"
    for folder in (pod / "volumes/m", made, used):
        folder.mkdir(parents=True)
    (used / "file").touch()
    ours, theirs, plain = made / "m", used / "theirs", used / "plain"
    ours.symlink_to(pod / "volumes/m")
    theirs.symlink_to(tmp_path)
    plain.mkdir()
    noted = {"links": [str(path) for path in (ours, theirs, plain)], "made": [str(made), str(used)]}
    (pod / "links").write_text(json.dumps(noted))

    leftovers.clear(tmp_path / "run")

    assert not made.exists()
    assert sorted(path.name for path in used.iterdir()) == ["file", "plain", "theirs"]
