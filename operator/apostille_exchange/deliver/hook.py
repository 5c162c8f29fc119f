"""Who is told of a new credential: a server on the pod's loopback, or processes by a signal. Nothing secret is sent."""

from __future__ import annotations

import os
import socket
import time

from apostille_exchange.recipe import Notify, RecipeError

TIMEOUT = 5.0  # seconds for the whole call
SIGNALS = ("HUP", "USR1", "USR2")


def check(notify: Notify) -> None:
    """Raises RecipeError."""
    if notify.signal:
        if notify.signal not in SIGNALS:
            raise RecipeError(f"admission.notify.signal: must be one of {', '.join(SIGNALS)}")
        if not notify.process or "/" in notify.process:
            raise RecipeError("admission.notify.process: must be the name of a program")
        return
    printable = notify.path.isascii() and notify.path.isprintable()
    if not notify.path.startswith("/") or not printable or any(c in notify.path for c in " #"):
        raise RecipeError("admission.notify.path: must be the path of a URL")


def tell(notify: Notify, binding: str) -> None:
    """Raises OSError where nobody was there to hear, or did not answer with 2xx."""
    if notify.signal:
        _signal(notify)
    else:
        _post(notify, binding)


def _post(notify: Notify, binding: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    with socket.create_connection(("127.0.0.1", notify.port), TIMEOUT) as connection:
        head = f"POST {notify.path} HTTP/1.1\r\nHost: 127.0.0.1:{notify.port}\r\nUser-Agent: apostille-exchange\r\n"
        connection.sendall(
            f"{head}Apostille-Binding: {binding}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )
        first = b""
        while b"\r\n" not in first and len(first) < 1024:
            if (left := deadline - time.monotonic()) <= 0:
                raise TimeoutError("no answer in time")
            connection.settimeout(left)
            if not (received := connection.recv(1024)):
                break
            first += received
    status = first[9:12]
    if not first.startswith(b"HTTP/1.") or not status.startswith(b"2"):
        raise OSError(f"answered {status.decode('ascii', 'replace') or 'nothing'}")


def _signal(notify: Notify) -> None:
    import signal

    number = getattr(signal, f"SIG{notify.signal}")
    told = 0
    for name in os.listdir("/proc"):
        if not name.isdecimal() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/comm") as file:
                # The kernel keeps 15 bytes of a program's name.
                if file.read().rstrip("\n") != notify.process[:15]:
                    continue
            os.kill(int(name), number)
        except OSError:
            continue  # it has ended meanwhile, or is another user's
        told += 1
    if not told:
        raise ProcessLookupError(f"no process {notify.process} that may be signalled")
