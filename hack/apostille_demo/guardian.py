"""The process in the background that owns the demo's cluster: everything else of it ends with this one.

It ends by itself after its time, on SIGTERM, and when the foreground goes away before it said that it may stay.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from typing import Any

from apostille_demo.world import world
from apostille_testbed import instances

STAY = b"stay\n"
"""What the foreground writes when the story has been told."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class _Ended(BaseException):
    """The first signal to end; raised in the main thread wherever it is."""


def guard(identity: str, minutes: float) -> int:
    """Runs the world and publishes it; returns the exit code of the process when it was ended."""
    for number in _SIGNALS:
        signal.signal(number, _end)
    told = threading.Event()
    threading.Thread(target=_listen, args=(told,), name="foreground", daemon=True).start()
    try:
        until = time.time() + minutes * 60
        instance = instances.claim(identity, detached=True)
        with world(instance, _say) as found:
            _publish(instance, found, until, told=False)
            told.wait(until - time.time())
            _publish(instance, found, until, told=told.is_set())
            threading.Event().wait(max(0.0, until - time.time()))
    except _Ended:
        return 0
    except Exception as error:
        _say(f"{type(error).__name__}: {error}")
        return 1
    return 0


def _end(number: int, frame: object) -> None:
    for again in _SIGNALS:
        signal.signal(again, signal.SIG_IGN)
    raise _Ended


def _listen(told: threading.Event) -> None:
    # The other end of standard input is the foreground: it closes in whatever way that ends.
    if sys.stdin.buffer.readline() == STAY:
        told.set()
    else:
        os.kill(os.getpid(), signal.SIGTERM)


def _publish(instance: instances.Instance, found: dict[str, Any], until: float, *, told: bool) -> None:
    instance.publish(**found, demo={"until": until, "told": told})


def _say(text: str) -> None:
    print(text, flush=True)
