"""The command line in this process: what it prints and how it ends, without a second for every start."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

from apostille.cli.main import main


@dataclass(frozen=True)
class Done:
    code: int
    stdout: str
    stderr: str


def command(kubeconfig: str | Path, *words: str) -> Done:
    """``apostille WORDS --kubeconfig=…``, with nobody at the terminal."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main([*words, f"--kubeconfig={kubeconfig}"])
        except SystemExit as ended:
            code = ended.code
    assert isinstance(code, int)
    return Done(code, out.getvalue(), err.getvalue())
