"""Temporary folders that a killed process cannot leave for good."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from apostille_testbed.cache import cache_folder

_LOCK = ".lock"


class Scratch:
    """A folder that is ours until `close`; once this process has ended in whatever way, the next `sweep` removes it."""

    def __init__(self, name: str) -> None:
        parent = _parent()
        parent.mkdir(parents=True, exist_ok=True)
        with _exclusive(parent):
            _sweep(parent)
            self.directory = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))
            """Its path."""
            self._lock = os.open(self.directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)

    def close(self) -> None:
        """Removes it. May be called again."""
        if self._lock < 0:
            return
        with _exclusive(self.directory.parent):
            shutil.rmtree(self.directory, ignore_errors=True)
            os.close(self._lock)
            self._lock = -1


def sweep() -> None:
    """Removes the folders of processes that have ended."""
    parent = _parent()
    if parent.exists():
        with _exclusive(parent):
            _sweep(parent)


def _parent() -> Path:
    return cache_folder() / "scratch"


def _sweep(parent: Path) -> None:
    for directory in parent.iterdir():
        if not directory.is_dir():
            continue
        with contextlib.suppress(FileNotFoundError), (directory / _LOCK).open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _exclusive(parent: Path) -> Iterator[None]:
    # So that making a folder and taking its lock are one step for others.
    with (parent / _LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
