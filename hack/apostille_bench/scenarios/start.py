"""What a command line costs before it does anything."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from apostille_bench.runner import Batch, Variant
from apostille_bench.scene import ROOT

STARTS = 5
"""Starts a batch."""


class Start:
    """The interpreter alone, and ours: as the installed entry point starts, from compiled files."""

    name = "start"
    question = "how long does `apostille --help` take, against the interpreter alone?"

    @contextmanager
    def variants(self, say: Callable[[str], None]) -> Iterator[Sequence[Variant]]:
        """Nothing has to be started."""
        entry = "from apostille.cli.main import main; main()"
        yield (
            Variant("python", "the interpreter, which does nothing", lambda: _batch("pass")),
            Variant("version", "apostille --version", lambda: _batch(entry, "--version")),
            Variant("help", "apostille --help", lambda: _batch(entry, "--help")),
            Variant("command", "apostille explain --help", lambda: _batch(entry, "explain", "--help")),
        )


def _batch(program: str, *arguments: str) -> Batch:
    command = [sys.executable, "-c", program, *arguments]
    took = []
    for _ in range(STARTS):
        began = time.perf_counter()
        subprocess.run(command, env={"PYTHONPATH": str(ROOT / "operator")}, check=True, stdout=subprocess.DEVNULL)
        took.append((time.perf_counter() - began) * 1000)
    return {"start ms": took}
