"""`apostille` as a process of its own that starts at once: forked from one that has imported everything.

What is killed is a real process with SIGKILL; only the second that Python takes to import is spared.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Sequence
from pathlib import Path

_PRELOAD = [
    "apostille.cli.main", "apostille.controller.run", "apostille.controller.certificates", "kopf", "kubernetes.client",
    "kubernetes.config", "apostille.kube.connection",
]  # fmt: skip
_PR_SET_PDEATHSIG = 1

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(_PRELOAD)


def _main(arguments: list[str], log: str) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    from apostille.cli.main import main

    main(arguments)


class QuickProcess:
    """As much of `apostille_testbed.processes.Process` as an installation asks for."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self.log = log
        # The forked child imports nothing of the tests.
        self._process = _context.Process(target=_main, args=(list(arguments), str(log)), daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def running(self) -> bool:
        return self._process.is_alive()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()
        self._process.join(30)

    def stop(self, grace: float = 2.0) -> None:
        self._process.terminate()
        self._process.join(grace)
        self.kill()

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise TimeoutError(f"{self.pid} still runs after {timeout} s")
        return code

    def tail(self, lines: int = 20) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
