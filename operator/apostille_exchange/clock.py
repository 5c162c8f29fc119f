"""Time and chance, in one place so that tests can hold both still."""

from __future__ import annotations

import os
import time


class Clock:
    """The machine's. All times in seconds."""

    def time(self) -> float:
        """Since the epoch: what expiry is told in."""
        return time.time()

    def monotonic(self) -> float:
        """Since some moment, never backwards: what waiting is counted in."""
        return time.monotonic()

    def uniform(self, low: float, high: float) -> float:
        """A random number between ``low`` and ``high``."""
        # 53 bits, as random.random() has; that module would cost half a MiB in every pod.
        return low + (high - low) * (int.from_bytes(os.urandom(7), "big") >> 3) / 2**53
