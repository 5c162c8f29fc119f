"""Waiting for what is measured."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(true: Callable[[], bool], what: str, *, within: float, pause: float) -> float:
    """The moment of the monotonic clock when it held, looked at every ``pause`` seconds. Raises TimeoutError."""
    give_up = time.monotonic() + within
    while not true():
        if time.monotonic() > give_up:
            raise TimeoutError(f"waited {within:g} s for {what}")
        time.sleep(pause)
    return time.monotonic()
