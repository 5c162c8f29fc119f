"""Credential files: replaced whole, in one step, by whoever reads them never seen half."""

from __future__ import annotations

import contextlib
import os
import stat

from apostille_exchange.deliver.stamp import Stamp, find

_MAX_BYTES = 256 * 1024


def write(path: str, content: str, mode: int) -> None:
    """Temporary file in the same directory, mode, fsync, rename, fsync of the directory. Raises OSError.

    The owner is this process (it runs as the application's user where one is declared); the group is what the
    directory hands down (fsGroup). A missing directory is made, for others to pass through and not to write.
    """
    directory = os.path.dirname(path)
    make(directory)
    temporary = _temporary(path)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        with open(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content.encode())
            file.flush()
            os.fsync(descriptor)
        os.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync(directory)


def remove(path: str) -> None:
    """Removes the file, its stamp and what a killed writer left. Raises OSError unless all is gone."""
    sweep(path)
    for file in (beside(path), path):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(file)
            sync(os.path.dirname(file))


def sweep(path: str) -> None:
    """Removes what a killed writer left beside ``path``. Raises OSError."""
    for file in (path, beside(path)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(_temporary(file))


def stamp(path: str) -> Stamp | None:
    """The stamp of the file that is there, in it or beside it; None without one."""
    if not (text := content(path)):
        return None
    return find(text) or find(content(beside(path)))


def content(path: str) -> str:
    """A file's text; empty where it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(_MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def beside(path: str) -> str:
    """Where the stamp of a file is that has no place for it."""
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.stamp")


def _temporary(path: str) -> str:
    # One name per file: there is one writer, and nothing heaps up in a small memory volume when it is killed.
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.tmp")


def make(directory: str) -> None:
    """A directory for others to pass through and not to write. Raises OSError."""
    try:
        os.mkdir(directory)
    except FileExistsError:
        return
    except FileNotFoundError:
        make(os.path.dirname(directory))
        os.mkdir(directory)
    # Whatever the umask; a setgid bit that was handed down stays.
    inherited = os.stat(directory).st_mode & stat.S_ISGID
    os.chmod(directory, inherited | 0o755)  # noqa: S103 - the files in it have modes of their own


def sync(directory: str) -> None:
    """Makes renames in it last. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
