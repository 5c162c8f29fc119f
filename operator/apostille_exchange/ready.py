"""``apostille-exchange ready``: the startup probe."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

from apostille_exchange.deliver import files


def ready(paths: Sequence[str]) -> int:
    """0 when every file holds a credential that has not ended, also one of before a restart; else 1."""
    now = time.time()
    code = 0
    for path in paths:
        stamp = files.stamp(path)
        if stamp is None or stamp.expires <= now:
            print(f"{path}: {'no credential yet' if stamp is None else 'the credential has ended'}", file=sys.stderr)
            code = 1
    return code
