"""The secret of a binding's endpoints: a file in the pod's memory, never a variable in its spec."""

from __future__ import annotations

import os

from apostille_exchange.deliver import files

_BYTES = 32


def establish(path: str, mode: int) -> bytes:
    """The secret that is there since before a restart, else a new one. Raises OSError."""
    found = files.content(path).encode()
    if len(found) == 2 * _BYTES and not found.strip(b"0123456789abcdef"):
        return found
    made = os.urandom(_BYTES).hex()
    files.write(path, made, mode)
    return made.encode()
