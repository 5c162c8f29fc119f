"""``_tether.py PARENT PROGRAM …``: becomes PROGRAM, which the kernel ends when PARENT ends.

A file of its own, run by a bare interpreter: setting this between fork and exec of a process with threads
(``preexec_fn``) can deadlock, and newer Pythons warn of it.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
    sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
if os.getppid() != int(sys.argv[1]):  # it ended before the line above
    sys.exit("the parent is gone")
os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606
