"""How many pods run at a time."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
from pathlib import Path
from typing import IO, Protocol

_POLL = 0.1


class Slots(Protocol):
    """A pod waits for `acquire` and says `release` when it has ended."""

    async def acquire(self) -> object: ...

    def release(self) -> None: ...


class Free:
    """As many as come: each has namespaces of its own."""

    async def acquire(self) -> None:
        return

    def release(self) -> None:
        return


class OneOnTheMachine:
    """One at a time over all runners of this user: volumes are links at real paths."""

    def __init__(self, lock: Path) -> None:
        self._path = lock
        self._mine = asyncio.Lock()
        self._file: IO[str] | None = None

    async def acquire(self) -> None:
        await self._mine.acquire()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("w")
            while True:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                await asyncio.sleep(_POLL)
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._mine.release()
