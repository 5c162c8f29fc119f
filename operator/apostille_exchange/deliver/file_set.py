"""Several files of one directory that switch together, by a symlink swap as the kubelet does it.

``NAME`` → ``..data/NAME``, ``..data`` → ``..N``, a directory with all the files. Whoever opens two of them in a row may
see the old one and then the new one, never a new one and then an old one, and none is ever half.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

from apostille_exchange.deliver import files

_DATA = "..data"
_NEXT = "..data_next"


def write(directory: str, contents: Mapping[str, tuple[str, int]]) -> None:
    """File name → (text, mode). Raises OSError, and then what was there is there still."""
    files.make(directory)
    sweep(directory)
    current = _target(directory)
    # Never a name again: who resolved the link a moment ago must not find a later set in its place.
    version = os.path.join(directory, f"..{int(current[2:]) + 1 if _is_version(current) else 0}")
    os.mkdir(version)
    # Whatever the umask: others pass through, the files have modes of their own.
    os.chmod(version, 0o755)  # noqa: S103
    for name, (text, mode) in contents.items():
        files.write(os.path.join(version, name), text, mode)
    link = os.path.join(directory, _NEXT)
    os.symlink(os.path.basename(version), link)
    os.rename(link, os.path.join(directory, _DATA))
    for name in contents:
        path = os.path.join(directory, name)
        if not os.path.islink(path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            os.symlink(os.path.join(_DATA, name), path)
    files.sync(directory)
    sweep(directory)


def remove(directory: str) -> None:
    """All of them at once, then what is left of them. Raises OSError unless all is gone."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(os.path.join(directory, _DATA))
    for path in _links(directory):
        os.unlink(path)
    sweep(directory)


def sweep(directory: str) -> None:
    """Removes versions that are not the current one, and what a killed writer left. Raises OSError."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(os.path.join(directory, _NEXT))
    current = _target(directory)
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for version in os.listdir(directory):
            if not _is_version(version) or version == current:
                continue
            path = os.path.join(directory, version)
            for name in os.listdir(path):
                os.unlink(os.path.join(path, name))
            os.rmdir(path)


def _is_version(name: str) -> bool:
    return name.startswith("..") and name[2:].isascii() and name[2:].isdecimal()


def _target(directory: str) -> str:
    try:
        return os.readlink(os.path.join(directory, _DATA))
    except OSError:
        return ""


def _links(directory: str) -> Iterator[str]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            if os.path.islink(path) and os.readlink(path) == os.path.join(_DATA, name):
                yield path
