"""`apostille` as a process of its own that starts at once: forked from one that has imported everything.

What is killed is a real process with SIGKILL; only the second that Python takes to import is spared.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

_PRELOAD = [
    "apostille.cli.main", "apostille.controller.run", "apostille.controller.certificates", "kopf", "kubernetes.client",
    "kubernetes.config", "apostille.kube.connection",
]  # fmt: skip
_PR_SET_PDEATHSIG = 1
_POLL = 0.02

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(_PRELOAD)


def _main(arguments: list[str], log: str) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    # By its name, as `python -m` runs it: the testbed is built on nothing of Apostille.
    importlib.import_module("apostille.cli.main").main(arguments)


_lock = threading.Lock()
"""Two threads that ask at once how one has ended would each read the one answer that there is."""


class QuickProcess:
    """As much of `apostille_testbed.processes.Process` as an installation asks for; it ends with this process."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        self.name, self.log = name, log
        # The forked child imports nothing of the tests.
        self._process = _context.Process(target=_main, args=(list(arguments), str(log)), daemon=True)
        with _lock:
            self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.returncode is None

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        with _lock:
            return self._process.exitcode

    def kill(self) -> None:
        """Ends it at once."""
        self.stop(grace=0)

    def stop(self, grace: float = 2.0) -> None:
        """Asks it to end, and kills it after ``grace`` seconds."""
        if grace > 0 and self.running:
            os.kill(self.pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                self.wait(grace)
        if self.running:
            os.kill(self.pid, signal.SIGKILL)
            self.wait(30)

    def wait(self, timeout: float | None = None) -> int:
        """Waits up to ``timeout`` seconds; returns the exit code. Raises TimeoutError."""
        give_up = None if timeout is None else time.monotonic() + timeout
        while (code := self.returncode) is None:
            if give_up is not None and time.monotonic() > give_up:
                raise TimeoutError(f"{self.name} still runs after {timeout:g} s")
            time.sleep(_POLL)
        return code

    def tail(self, lines: int = 20) -> str:
        """The last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
