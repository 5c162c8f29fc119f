"""Loopback ports that nobody else gets between choosing and using them."""

from __future__ import annotations

import fcntl
import random
import socket

from apostille_testbed.cache import cache_folder

# Below what the kernel gives to outgoing connections (ip_local_port_range): only a listener can have them.
_LISTENERS = range(20000, 32768)


class Port:
    """A reserved TCP port on a loopback address, or one that only this machine has.

    The socket here is bound but never listens, so it gets no connections; a server that sets SO_REUSEPORT, run by the
    same user, can listen beside it, end, and come back, and meanwhile connections are refused (socket(7)).
    """

    def __init__(self, address: str = "127.0.0.1") -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind((address, 0))
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Gives it back."""
        self._socket.close()

    def __format__(self, spec: str) -> str:
        return format(self.number, spec)


class ListenerPort:
    """A TCP port on 127.0.0.1 for a server that does not set SO_REUSEPORT, which a reserving socket would lock out.

    It is kept from other users of the testbed by a lock file, and from everybody else by being none that the kernel
    gives away by itself.
    """

    def __init__(self) -> None:
        folder = cache_folder() / "ports"
        folder.mkdir(parents=True, exist_ok=True)
        for number in random.sample(_LISTENERS, len(_LISTENERS)):
            lock = (folder / str(number)).open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                with socket.socket() as trial:
                    trial.bind(("127.0.0.1", number))
            except OSError:
                lock.close()
                continue
            self.number, self._lock = number, lock
            return
        raise OSError("no free port for a listener on 127.0.0.1")

    def close(self) -> None:
        """Gives it back."""
        self._lock.close()

    def __format__(self, spec: str) -> str:
        return format(self.number, spec)
