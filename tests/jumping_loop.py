"""An event loop whose clock jumps to the next timer as soon as there is nothing to do: minutes pass in no time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

R = TypeVar("R")


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits for something that nobody will do"
            self.now += max(timeout, 0.0)
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """``time()`` starts at 0."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        """Seconds that would have passed."""
        return self._clock.now


def in_no_time(test: Callable[..., Awaitable[R]]) -> Callable[..., R]:
    """Decorates an ``async`` test to run in such a loop; what it leaves behind is cancelled."""

    def run(**arguments: Any) -> R:
        with asyncio.Runner(loop_factory=JumpingLoop) as runner:
            return runner.run(_call(test, arguments))

    run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
    run.__signature__ = __import__("inspect").signature(test)  # type: ignore[attr-defined]
    return run


async def _call(test: Callable[..., Awaitable[R]], arguments: Mapping[str, Any]) -> R:
    return await test(**arguments)


def now() -> float:
    """The loop's clock."""
    return asyncio.get_running_loop().time()
