"""The foreground's hold on the guardian: starts it, finds it again, ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from apostille_demo import logs
from apostille_demo.guardian import STAY
from apostille_testbed import instances, processes

State = Mapping[str, Any]
_START_SECONDS = 600.0
_STOP_SECONDS = 60.0
_POLL = 0.05


class NotStarted(Exception):
    """The guardian ended while it started; the message is what it wrote."""


class NotStopped(Exception):
    """The guardian does not end; the message names its process."""


def find(identity: str) -> State | None:
    """What a running demo has published; without ``url`` it is just starting. None: there is none of that name."""
    return instances.live().get(identity)


class Guardian:
    """A guardian that this process started. Leaving the ``with`` block ends it, unless `stay` was called.

    ``options`` are further ones of ``hack/demo guard``.
    """

    def __init__(self, identity: str, minutes: float, *options: str) -> None:
        self._identity = identity
        instances.folder().mkdir(parents=True, exist_ok=True)
        self._log = logs.guardian_log(identity)
        command = [sys.executable, "-m", "apostille_demo", "guard", identity, f"--minutes={minutes:g}"]
        command += options
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=self._log.parent,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C at the terminal is the foreground's
            )
        self._staying = False

    def wait(self, say: Callable[[str], None]) -> State:
        """Returns what it publishes when everything runs; ``say`` is told, line by line, what it starts.

        Raises NotStarted.
        """
        told, give_up = 0, time.monotonic() + _START_SECONDS
        while True:
            ended = self._process.poll() is not None
            lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
            if ended or time.monotonic() > give_up:
                raise NotStarted("\n".join(lines[told:]) or "it ended without a word")
            for line in lines[told:]:
                say(line)
            told = len(lines)
            state = find(self._identity)
            if state and "demo" in state and state["owner"]["pid"] == self._process.pid:
                return state
            time.sleep(_POLL)

    def stay(self) -> None:
        """Leaves it running."""
        assert self._process.stdin is not None
        self._process.stdin.write(STAY)
        self._process.stdin.flush()
        self._staying = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._staying:
            self._process.returncode = 0  # it outlives us on purpose
            return
        stop(self._identity, self._process.pid)
        self._process.wait()


def stop(identity: str, pid: int, began: int | None = None) -> None:
    """Ends the guardian ``pid`` and clears all of it. Raises NotStopped.

    ``began`` is its start time (`processes.started`); None: it is a child of ours that was not waited for.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        if _alive(pid, began):
            os.kill(pid, number)
        give_up = time.monotonic() + _STOP_SECONDS
        while time.monotonic() < give_up:
            if not _alive(pid, began):
                instances.sweep()
                logs.guardian_log(identity).unlink(missing_ok=True)
                return
            time.sleep(_POLL)
    raise NotStopped(f"{identity} does not stop; its process is {pid}")


def _alive(pid: int, began: int | None) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX" and (began is None or processes.started(pid) == began)
