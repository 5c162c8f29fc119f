"""What long work says while it runs: what it does, since when, and how long it probably takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

Say = Callable[[str], None]
"""Takes one line of progress."""

PLAIN_INTERVAL = 10.0
"""Seconds between two lines about the same work where lines cannot be rewritten."""

_TERMINAL_INTERVAL = 1.0


class Console:
    """Writes to standard error; on a terminal the line about running work is rewritten in place."""

    def __init__(self) -> None:
        self.rewrites = sys.stderr.isatty()
        self._open = False

    def __call__(self, text: str) -> None:
        """Writes a line that stays."""
        self._write(f"{text}\n")
        self._open = False

    def update(self, text: str) -> None:
        """Writes a line that the next one replaces."""
        self._write(text)
        self._open = True

    def _write(self, text: str) -> None:
        sys.stderr.write(("\r\x1b[K" if self._open else "") + text)
        sys.stderr.flush()


class Work:
    """Speaks about one piece of work as often as it is useful."""

    def __init__(self, say: Say, name: str) -> None:
        self._say = say
        self._name = name
        self._began = time.monotonic()
        self._rewrites = isinstance(say, Console) and say.rewrites
        self._interval = _TERMINAL_INTERVAL if self._rewrites else PLAIN_INTERVAL
        self._next = self._began + self._interval

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    def tick(self, describe: Callable[[], str]) -> None:
        """Says what it does now, when it is time to."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._interval
        text = f"{self._name}: {describe()}"
        if self._rewrites and isinstance(self._say, Console):
            self._say.update(text)
        else:
            self._say(text)

    def done(self, text: str) -> None:
        """Says how it ended."""
        self._say(f"{self._name}: {text}")


def clock(seconds: float) -> str:
    """Seconds as ``m:ss``."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def span(low: float, high: float) -> str:
    """Two numbers of seconds as people say them: ``20–50 s``, ``3–8 min``."""
    if high < 90:
        return f"{max(5, round(low / 5) * 5)}–{max(10, round(high / 5) * 5)} s"
    return f"{max(1, round(low / 60))}–{max(2, round(high / 60))} min"
