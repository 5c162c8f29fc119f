"""One JSON object a line on standard error, in the operator's shape. Never an assertion, never a credential."""

from __future__ import annotations

import json
import os

from apostille_exchange import instants
from apostille_exchange.clock import Clock


class Log:
    """Writes whole lines at once, so that threads do not mix them; ``descriptor`` is a file descriptor."""

    def __init__(self, clock: Clock, descriptor: int = 2) -> None:
        self._clock = clock
        self._descriptor = descriptor

    def __call__(self, level: str, message: str, **fields: object) -> None:
        """``fields`` that are empty are left out."""
        now = self._clock.time()
        line: dict[str, object] = {
            "time": f"{instants.text(now)[:-1]}.{int(now % 1 * 1000):03}Z",
            "level": level,
            "logger": "apostille.exchange",
            "message": message,
        }
        line |= {name: value for name, value in fields.items() if value not in (None, "", 0)}
        try:
            os.write(self._descriptor, json.dumps(line).encode() + b"\n")
        except OSError:
            # Nobody reads (a full pipe without a reader); the credential matters more.
            return
