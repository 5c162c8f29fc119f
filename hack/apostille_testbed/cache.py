"""The user's cache: what is expensive to make, keyed by everything that decides its content."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_SUMS = "SHA256SUMS"


def cache_folder() -> Path:
    """``$APOSTILLE_CACHE``, else ``apostille`` in the XDG cache folder: the rule of ``hack/python``."""
    if explicit := os.environ.get("APOSTILLE_CACHE"):
        return Path(explicit).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").resolve() / "apostille"


@dataclass(frozen=True)
class Entry:
    """One folder of files in the cache: there whole and as it was made, or not there."""

    name: str
    inputs: Mapping[str, str]
    """Everything that decides its content: a change of any is another entry."""
    lock: str
    """Entries of the same lock are made one after the other."""

    @property
    def directory(self) -> Path:
        """Where its files are once it is made."""
        text = "".join(f"{name}\0{value}\0" for name, value in sorted(self.inputs.items()))
        return cache_folder() / "built" / f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def damage(self) -> str | None:
        """Why it cannot be used: a file that is missing or not as it was made. None: it is sound, or not there."""
        if not self.directory.exists():
            return None
        try:
            lines = (self.directory / _SUMS).read_text().splitlines()
            for line in lines:
                expected, _, name = line.partition("  ")
                if _sha256(self.directory / name) != expected:
                    return f"{self.directory / name} does not have the sum it was built with"
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
        return None if lines else f"{self.directory / _SUMS} is empty"

    def make(self, build: Callable[[Path], None], say: Callable[[str], None]) -> Path:
        """Returns its folder, with checked sums; makes it where it is missing or damaged.

        Safe for several processes at once: one makes it, the others wait for it. A process that is killed
        meanwhile leaves nothing that could be taken for an entry.

        Args:
            build: writes the files into the folder it is given.
            say: told, a line each, what is repaired or waited for.
        """
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        if self._usable():
            return self.directory
        lock = self.directory.parent / f"{self.lock}.lock"
        with _exclusive(lock, f"{self.name}: another process builds {self.lock}", say):
            if self._usable():
                return self.directory
            if damage := self.damage():
                say(f"{damage}; making it again")
            for left in self.directory.parent.glob(f"{self.name}.new-*"):
                shutil.rmtree(left)
            work = Path(tempfile.mkdtemp(prefix=f"{self.name}.new-", dir=self.directory.parent))
            try:
                build(work)
                files = sorted(path for path in work.rglob("*") if path.is_file())
                sums = "".join(f"{_sha256(file)}  {file.relative_to(work)}\n" for file in files)
                (work / _SUMS).write_text(sums)
                work.chmod(0o755)
                if self.directory.exists():
                    shutil.rmtree(self.directory)
                work.rename(self.directory)
            finally:
                shutil.rmtree(work, ignore_errors=True)
        return self.directory

    def _usable(self) -> bool:
        return self.directory.exists() and self.damage() is None


@contextlib.contextmanager
def _exclusive(lock: Path, waiting: str, say: Callable[[str], None]) -> Iterator[None]:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{waiting}, waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
