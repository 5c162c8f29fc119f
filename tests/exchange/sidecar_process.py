"""The sidecar as a process of its own, with only the standard library in reach."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from apostille_exchange.recipe import Admission, ready_arguments, run_arguments
from exchange.scene import CEILING, PodFiles

OPERATOR = Path(__file__).parents[2] / "operator"
_PROGRAM = f"import sys; sys.path.insert(0, {str(OPERATOR)!r}); from apostille_exchange.main import main; main()"


def program(*arguments: str) -> list[str]:
    """The command line of `apostille-exchange` with these arguments."""
    return [sys.executable, "-I", "-S", "-c", _PROGRAM, *arguments]


def until(holds: Callable[[], Any], what: str) -> Any:
    """Polls; returns the first true result. Raises AssertionError after CEILING."""
    deadline = time.monotonic() + CEILING
    while not (result := holds()):
        assert time.monotonic() < deadline, f"not within {CEILING:.0f} s: {what}"
        time.sleep(0.02)
    return result


class Sidecar:
    """One container: it can be killed and started again; what it wrote is kept over restarts."""

    def __init__(self, files: PodFiles, admissions: Sequence[Admission], *options: str) -> None:
        self.files = files
        self._admissions = admissions
        self._options = options
        self._log = files.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Starts the process; its environment is the one of an empty image."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                program(*run_arguments(self._admissions, str(self.files.plan), *self._options)),
                env={"PATH": os.environ["PATH"]},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def ready(self) -> bool:
        """What the startup probe says; its command is the one of the container's spec."""
        return subprocess.run(program(*ready_arguments(self._admissions)[1:]), check=False).returncode == 0

    def end(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal; returns the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(CEILING)

    def running(self) -> bool:
        """Whether it is alive."""
        return self._process is not None and self._process.poll() is None

    def output(self) -> str:
        """All it ever wrote."""
        return self._log.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """Its log."""
        return [json.loads(line) for line in self.output().splitlines()]

    def said(self, reason: str) -> list[dict[str, Any]]:
        """The lines with this reason or result."""
        return [line for line in self.lines() if reason in (line.get("reason"), line.get("result"))]
