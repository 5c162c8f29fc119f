"""``python3 -m programs.run once|on MODULE FUNCTION``: calls a program, and prints what it says.

``once``: one call. ``on``: one after another until its credential is gone, which is no failure; before that not one
call may fail. Each answer is printed when it is another than the one before.
"""

import importlib
import os
import sys
import time

MARK = "> "
"""Before what a program says: its SDK may write warnings."""


def say(text):
    """Prints it, marked."""
    print(MARK + text, flush=True)


def on(call, gone):
    """Calls for as long as it works."""
    calls, last = 0, None
    while True:
        try:
            said = call()
        except Exception as error:
            # The file goes, or the endpoint refuses, a moment after the party does or before.
            for _ in range(100):
                if calls and gone():
                    say("gone")
                    return
                time.sleep(0.1)
            say(f"failed after {calls} calls: {error!r}")
            raise
        calls += 1
        if said != last:
            say(said)
            last = said
        time.sleep(0.5)


def main(how, name, function):
    """Runs a program of this folder."""
    module = importlib.import_module(f".{name}", __package__)
    call = getattr(module, function)
    if how == "once":
        say(call())
    else:
        on(call, getattr(module, "gone", lambda: not os.path.exists(os.environ[module.FILE])))


if __name__ == "__main__":
    main(*sys.argv[1:])
