"""The process in the background that owns the demo's cluster: everything else of it ends with this one.

It ends by itself after its time, on SIGTERM, and when the foreground goes away before it said that it may stay.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from apostille_demo import logs
from apostille_testbed import instances
from apostille_testbed.progress import Say

STAY = b"stay\n"
"""What the foreground writes when the story has been told."""

World = Callable[[instances.Instance, Say], AbstractContextManager[dict[str, Any]]]
"""Runs everything in an instance and yields what is published of it."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class _Ended(BaseException):
    """The first signal to end; raised in the main thread wherever it is."""


def guard(identity: str, minutes: float, world: World) -> int:
    """Runs ``world`` until ``minutes`` after the story was told, and publishes it; returns the process's exit code.

    On 1 its log, which is its standard output, says why; else the log is removed.
    """
    for number in _SIGNALS:
        signal.signal(number, _end)
    told = threading.Event()
    threading.Thread(target=_listen, args=(told,), name="foreground", daemon=True).start()
    try:
        instance = instances.claim(identity, detached=True)
        with world(instance, _say) as found:
            instance.publish(**found, demo={})
            told.wait()
            # Counted from here: however slow the machine is, the story is not cut off.
            instance.publish(**found, demo={"until": time.time() + minutes * 60})
            threading.Event().wait(minutes * 60)
    except _Ended:
        pass
    except Exception as error:
        _say(f"{type(error).__name__}: {error}")
        return 1
    logs.guardian_log(identity).unlink(missing_ok=True)
    return 0


def _end(number: int, frame: object) -> None:
    for again in _SIGNALS:
        signal.signal(again, signal.SIG_IGN)
    raise _Ended


def _listen(told: threading.Event) -> None:
    # The other end of standard input is the foreground: it closes in whatever way that ends.
    # Not by sys.stdin, whose lock would be in the way of an end meanwhile.
    if os.read(sys.stdin.fileno(), len(STAY)) == STAY:
        told.set()
    else:
        os.kill(os.getpid(), signal.SIGTERM)


def _say(text: str) -> None:
    print(text, flush=True)
