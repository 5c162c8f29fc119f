"""Starts programs that end with us, and clears what a killed run left of them.

Three nets, each for what the one before lets through: `Process.stop`; the kernel's parent-death signal, for a parent
that was killed; `clear`, for what a killed program had started itself. Every program gets a session of its own, a
file with its process id and start time, and its directory in its environment, by which `clear` knows it again.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

MARK = "APOSTILLE_TESTBED_PROCESS_OF"
"""The environment variable that holds the directory a program was started for."""

_TETHER = Path(__file__).with_name("_tether.py")
_POLL = 0.02
_PASSED_ON = ("GOGC", "GOMEMLIMIT")
"""What of the caller's environment reaches every program, whatever its own is: how Go's collector is set."""


class ProcessError(RuntimeError):
    """A program did not start, or ended before it was ready. The message ends with the end of its log."""


class Running(ABC):
    """A program that was started, and its log."""

    def __init__(self, name: str, pid: int, log: Path) -> None:
        self.name, self.pid, self.log = name, pid, log

    @property
    @abstractmethod
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.returncode is None

    @abstractmethod
    def stop(self, grace: float = 2.0) -> None:
        """Asks it to end, and kills what is left after ``grace`` seconds."""

    def kill(self) -> None:
        """Ends it at once."""
        self.stop(grace=0)

    def wait(self, timeout: float | None = None) -> int:
        """Waits up to ``timeout`` seconds; returns the exit code. Raises TimeoutError."""
        give_up = None if timeout is None else time.monotonic() + timeout
        while self.running:
            if give_up is not None and time.monotonic() > give_up:
                raise TimeoutError(f"{self.name} still runs after {timeout:g} s")
            time.sleep(_POLL)
        code = self.returncode
        assert code is not None
        return code

    def tail(self, lines: int = 20) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Process(Running):
    """A running program in a process group of its own; made by `start`."""

    def __init__(self, name: str, popen: subprocess.Popen[bytes], directory: Path) -> None:
        super().__init__(name, popen.pid, directory / f"{name}.log")
        self._popen = popen
        self._pid_file = directory / f"{name}.pid"

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._popen.returncode is None and not _ended(self.pid)

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        if self._popen.returncode is None and not self.running:
            self._reap()
        return self._popen.returncode

    def stop(self, grace: float = 2.0) -> None:
        """Asks it and everything in its process group to end, and kills what is left after ``grace`` seconds."""
        if self._popen.returncode is not None:
            return
        if grace > 0:
            self._signal(signal.SIGTERM)
            give_up = time.monotonic() + grace
            while self.running and time.monotonic() < give_up:
                time.sleep(_POLL)
        self._reap()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def _reap(self) -> None:
        # Until it is waited for, its id, which is also its group's, cannot become anybody else's.
        self._signal(signal.SIGKILL)
        self._popen.wait()
        self._pid_file.unlink(missing_ok=True)


def start(
    name: str,
    argv: Sequence[str | Path],
    directory: Path,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    ready: Callable[[], bool] | None = None,
    timeout: float = 60.0,
    keep_log: bool = False,
) -> Process:
    """Starts a program that ends with this process, and waits until ``ready`` says true.

    Args:
        name: what it is called in messages; its log is ``directory/name.log``, its id in ``directory/name.pid``.
        argv: program and arguments; the program is looked up on PATH.
        directory: the folder it belongs to; `clear` with the same folder finds it again.
        env: its environment, beside what of ours reaches every program; default: ours.
        cwd: where it runs; default: ``directory``.
        ready: asked 50 times a second.
        timeout: seconds to become ready.
        keep_log: appends to the log instead of beginning a new one.

    Raises:
        ProcessError: it cannot be started, ended before it was ready, or was not ready in time (then it is killed).
    """
    program = shutil.which(os.fspath(argv[0]))
    if program is None:
        raise ProcessError(f"{name}: there is no program {argv[0]}")
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), program]
    command += [str(argument) for argument in argv[1:]]
    environment = {**passed_on(), **(os.environ if env is None else env), MARK: str(directory)}
    log = directory / f"{name}.log"

    def spawn() -> subprocess.Popen[bytes]:
        with log.open("ab" if keep_log else "wb") as output:
            return subprocess.Popen(
                command,
                cwd=cwd or directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    process = Process(name, _spawner.call(spawn), directory)
    (directory / f"{name}.pid").write_text(json.dumps({"pid": process.pid, "started": started(process.pid)}) + "\n")
    _running.add(process)
    if ready is not None:
        try:
            wait_for(process, ready, timeout)
        except BaseException:
            process.kill()
            raise
    return process


def passed_on() -> dict[str, str]:
    """What of the caller's environment reaches every program."""
    return {variable: os.environ[variable] for variable in _PASSED_ON if variable in os.environ}


def started(pid: int) -> int | None:
    """When a process began, in clock ticks since boot: with the id it names a process for good. None: it is gone."""
    fields = _stat(pid)
    return None if fields is None else int(fields[19])


def parent(pid: int) -> int | None:
    """The process id of the process that started it, or that has adopted it. None: it is gone."""
    fields = _stat(pid)
    return None if fields is None else int(fields[1])


def clear(directory: Path) -> list[int]:
    """Kills what was started for ``directory`` or a folder in it and still runs; returns the process ids.

    A process counts when its environment carries the directory, or when it is in the session of one whose id and
    start time are in the directory's files. Nothing else is touched.
    """
    directory = directory.resolve()
    killed: list[int] = []
    # A process may fork while we look: look until nothing is found.
    while True:
        sessions = _sessions(directory)
        found = [pid for pid in _processes() if _kill_if_of(pid, directory, sessions)]
        if not found:
            return killed
        killed += [pid for pid in found if pid not in killed]
        time.sleep(_POLL)


def wait_for(process: Running, ready: Callable[[], bool], timeout: float) -> None:
    """Asks 50 times a second until ``ready`` says true. Raises ProcessError when it ends or takes too long."""
    give_up = time.monotonic() + timeout
    while not ready():
        if not process.running:
            raise ProcessError(f"{process.name} ended with {process.returncode}:\n{process.tail()}")
        if time.monotonic() > give_up:
            raise ProcessError(f"{process.name} is not ready after {timeout:g} s:\n{process.tail()}")
        time.sleep(_POLL)


def _ended(pid: int) -> bool:
    # Without reaping it: see Process._reap.
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _stat(pid: int) -> list[str] | None:
    # proc_pid_stat(5), from the third field on; the second is in brackets and may contain anything.
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None


def _processes() -> Iterator[int]:
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            yield int(entry)


def _kill_if_of(pid: int, directory: Path, sessions: set[int]) -> bool:
    # The handle is taken before the look: what is killed is what was looked at, however fast ids are reused.
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        fields = _stat(pid)
        if fields is None or fields[0] in "ZX":
            return False
        if not (_marked(pid, directory) or int(fields[3]) in sessions):
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        return True
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(handle)


def _marked(pid: int, directory: Path) -> bool:
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    mark = os.fsencode(f"{MARK}={directory}")
    return any(entry == mark or entry.startswith(mark + b"/") for entry in environment.split(b"\0"))


def _sessions(directory: Path) -> set[int]:
    sessions = set()
    for file in directory.rglob("*.pid"):
        with contextlib.suppress(ValueError, KeyError, TypeError, OSError):
            noted = json.loads(file.read_text())
            if started(noted["pid"]) == noted["started"] is not None:
                sessions.add(int(noted["pid"]))
    return sessions


class _Spawner:
    """Starts programs from one thread that lives as long as the process.

    The parent-death signal comes when the *thread* that forked ends (prctl(2)), which a test's thread may do early.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], queue.SimpleQueue[object]]]
        self._jobs = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._owner: int | None = None

    def call(self, job: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        """Runs ``job`` in the thread. Raises what it raises."""
        with self._lock:
            if self._owner != os.getpid():  # the first use, or the first in a forked child, which has no such thread
                self._jobs = queue.SimpleQueue()
                threading.Thread(target=self._work, args=(self._jobs,), name="testbed-spawner", daemon=True).start()
                self._owner = os.getpid()
            answer: queue.SimpleQueue[object] = queue.SimpleQueue()
            self._jobs.put((job, answer))
        result = answer.get()
        if isinstance(result, BaseException):
            raise result
        assert isinstance(result, subprocess.Popen)
        return result

    @staticmethod
    def _work(jobs: queue.SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], queue.SimpleQueue[object]]]) -> None:
        while True:
            job, answer = jobs.get()
            try:
                answer.put(job())
            except BaseException as error:  # it is raised in the caller's thread
                answer.put(error)


_spawner = _Spawner()
_running: weakref.WeakSet[Process] = weakref.WeakSet()


@atexit.register
def _stop_all() -> None:
    for process in list(_running):
        process.kill()
