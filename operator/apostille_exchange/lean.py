"""Keeps out of memory what only looks needed; before anything else is imported."""

from __future__ import annotations

import sys
from types import ModuleType


def lean() -> None:
    """`dataclasses` imports `inspect` (1.2 MiB with what that imports), and of Python 3.11 and 3.12 uses it for classes
    without a docstring alone. It is loaded when something asks for anything of it.
    """
    if "inspect" in sys.modules:
        return
    stub = ModuleType("inspect")

    def load(name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get("inspect") is stub:
            del sys.modules["inspect"]
        import inspect

        return getattr(inspect, name)

    stub.__getattr__ = load  # type: ignore[method-assign]
    sys.modules["inspect"] = stub
