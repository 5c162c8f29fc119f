"""Scripts of a vendor's command line: POSIX sh, every word quoted, with the same outcome when it is run twice."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

FILE = "apply.sh"


class Words(str):
    """Shell text that is meant as it is written, such as ``"$ALIAS"``; never made of anything declared."""

    __slots__ = ()


Command = Sequence[str]


def script(about: str, lines: Iterable[str], needs: Iterable[str] = ()) -> dict[str, str]:
    """The script as the one file of its form; it stops at the first error.

    ``about`` says what it needs, ``needs`` are variables that must be set.
    """
    head = "".join(f"# {line}\n" for line in about.splitlines())
    checks = "".join(f': "${{{name}:?}}"\n' for name in needs)
    return {FILE: f"#!/bin/sh\n{head}set -eu\n{checks}" + "".join(f"{line}\n" for line in lines)}


def run(command: Command, *, stdin: str = "") -> str:
    """One command on one line, fed with ``stdin`` where there is any."""
    line = " ".join(word if isinstance(word, Words) else shlex.quote(word) for word in command)
    return f"printf '%s' {shlex.quote(stdin)} | {line}" if stdin else line


def ensure(known: Command, change: Iterable[str], create: Iterable[str]) -> list[str]:
    """Runs ``change`` where ``known`` succeeds, else ``create``; an error of either ends the script."""
    changes = [f"  {line}" for line in change] or ["  :"]
    return [f"if {run(known)} >/dev/null 2>&1; then", *changes, "else", *(f"  {line}" for line in create), "fi"]


def insist(command: Command, *, times: int, pause: int) -> list[str]:
    """Runs a command until it succeeds, ``pause`` seconds between; what fails ``times`` times ends the script."""
    return [
        f"tries={times}",
        f"until {run(command)}; do",
        "  tries=$((tries - 1))",
        '  [ "$tries" -gt 0 ] || exit 1',
        f"  sleep {pause}",
        "done",
    ]
