"""The running control planes of this user: one directory each, held by a lock that ends with its process."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from apostille_testbed import leftovers, processes, scratch
from apostille_testbed.cache import cache_folder

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")
_STATE = "state.json"
_LOCK = "lock"


class InstanceInUse(RuntimeError):
    """A control plane of that id runs already."""


class Instance:
    """A directory that is ours until `release`, or until this process ends in whatever way."""

    def __init__(self, identity: str, directory: Path, lock: int, *, detached: bool) -> None:
        self.id = identity
        self.directory = directory
        self._lock = lock
        self._owner = {"pid": os.getpid(), "started": processes.started(os.getpid()), "detached": detached}

    def publish(self, **state: Any) -> None:
        """Writes what others may know about it (addresses and file names, no secrets) beside who holds it."""
        temporary = self.directory / f"{_STATE}.new"
        temporary.write_text(json.dumps({"id": self.id, **state, "owner": self._owner}, indent=2) + "\n")
        temporary.rename(self.directory / _STATE)

    def release(self) -> None:
        """Clears what still runs, removes the directory and gives the id back."""
        with _exclusive(self.directory.parent):
            _remove(self.directory)
            os.close(self._lock)


def claim(identity: str | None = None, *, detached: bool = False) -> Instance:
    """Takes an id, a DNS label of at most 40 characters; None: a random one. First clears what killed runs left.

    Args:
        detached: it belongs to nobody's program, so that ``down`` may end its process.

    Raises:
        InstanceInUse: it runs already.
        ValueError: it is not such a label.
    """
    identity = check(identity or f"t{secrets.token_hex(4)}")
    runs = folder()
    runs.mkdir(parents=True, exist_ok=True)
    with _exclusive(runs):
        _sweep(runs)
        directory = runs / identity
        if directory.exists():
            raise InstanceInUse(f"{identity} runs already; take another id, or stop it: hack/testbed down {identity}")
        directory.mkdir(mode=0o700)
        lock = os.open(directory / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        instance = Instance(identity, directory, lock, detached=detached)
        instance.publish()
    return instance


def check(identity: str) -> str:
    """Returns the id. Raises ValueError when it is not a DNS label of at most 40 characters."""
    if not _NAME.fullmatch(identity):
        raise ValueError(f"{identity!r} is not a DNS label of at most 40 characters")
    return identity


def sweep() -> list[str]:
    """Clears what killed runs left, and nothing else; returns their ids."""
    scratch.sweep()
    runs = folder()
    if not runs.exists():
        return []
    with _exclusive(runs):
        return _sweep(runs)


def live() -> dict[str, dict[str, Any]]:
    """What every running instance has published, by id; only ``id`` and ``owner`` while it is just starting."""
    runs = folder()
    if not runs.exists():
        return {}
    with _exclusive(runs):
        held = [directory for directory in _directories(runs) if _held(directory)]
        return {directory.name: json.loads((directory / _STATE).read_text()) for directory in held}


def folder() -> Path:
    """Where the instances are."""
    return cache_folder() / "run"


def _sweep(runs: Path) -> list[str]:
    left = [directory for directory in _directories(runs) if not _held(directory)]
    for directory in left:
        _remove(directory)
    return [directory.name for directory in left]


def _directories(runs: Path) -> list[Path]:
    return sorted(entry for entry in runs.iterdir() if entry.is_dir() and _NAME.fullmatch(entry.name))


def _held(directory: Path) -> bool:
    # A lock rather than a process id: it also tells across containers that share the cache.
    try:
        descriptor = os.open(directory / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _remove(directory: Path) -> None:
    processes.clear(directory)
    leftovers.clear(directory)
    shutil.rmtree(directory)


@contextlib.contextmanager
def _exclusive(runs: Path) -> Iterator[None]:
    # Held for moments only, so that making and removing a directory and taking its lock are one step for others.
    with (runs / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
