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
from collections.abc import Sequence
from pathlib import Path

from apostille_testbed.processes import Running

# The last is this module: each child would import it, and with it the testbed, to find what it is to run.
_PRELOAD = [
    "apostille.cli.main", "apostille.controller.run", "apostille.controller.certificates", "kopf", "kubernetes.client",
    "kubernetes.config", "apostille.kube.connection", "apostille_testbed.quick_process",
]  # fmt: skip
_PR_SET_PDEATHSIG = 1

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


class QuickProcess(Running):
    """`apostille` as a forked process; it ends with this one."""

    def __init__(self, name: str, arguments: Sequence[str], log: Path) -> None:
        self._process = _context.Process(target=_main, args=(list(arguments), str(log)), daemon=True)
        with _lock:
            self._process.start()
        assert self._process.pid is not None
        super().__init__(name, self._process.pid, log)

    @property
    def returncode(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        with _lock:
            return self._process.exitcode

    def stop(self, grace: float = 2.0) -> None:
        """Asks it to end, and kills it after ``grace`` seconds."""
        if grace > 0 and self.running:
            os.kill(self.pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                self.wait(grace)
        if self.running:
            os.kill(self.pid, signal.SIGKILL)
            self.wait(30)
