"""Relying parties for tests and the demo: each judges by the *rendered* trust documents, as its vendor does.

Nothing here may import the product: a party that shared its code would share its mistakes.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from apostille_testbed.parties.stands import Stands


class Party(Protocol):
    """What every relying party of the testbed offers."""

    @property
    def url(self) -> str:
        """Where it listens: scheme, loopback address and port."""

    @property
    def port(self) -> int:
        """Its TCP port; the same after `stop` and `start`."""

    @property
    def ca(self) -> Path:
        """The PEM file that its clients must trust."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The vendor's host names that its certificate is valid for and that it answers to."""

    def start(self) -> None:
        """Begins to answer; returns when the port accepts connections."""

    def stop(self) -> None:
        """Drops every connection and refuses new ones, keeping state and port: what a killed server looks like."""

    def close(self) -> None:
        """Stops for good and removes what it wrote."""


def names() -> tuple[str, ...]:
    """The parties that `party` knows: the folders beside this file that have one."""
    return tuple(sorted(path.parent.name for path in Path(__file__).parent.glob("*/party.py")))


def stands() -> Iterator[Stands]:
    """What each folder beside this file stands for, servers and judges."""
    for folder in sorted(path.parent.name for path in Path(__file__).parent.glob("*/__init__.py")):
        found = importlib.import_module(f"{__name__}.{folder}").STANDS
        assert isinstance(found, Stands)
        yield found


@contextmanager
def party(name: str, **settings: Any) -> Iterator[Any]:
    """Runs a relying party for the length of a ``with`` block: the one class of its module that is called a Party.

    ``settings`` are the arguments of its class. Raises KeyError for a party that does not exist.
    """
    if name not in names():
        raise KeyError(name)
    # Imported on use: a test that needs one party pays for one party.
    module = importlib.import_module(f"{__name__}.{name}.party")
    (made,) = (
        found
        for found in vars(module).values()
        if isinstance(found, type) and found.__module__ == module.__name__ and found.__name__.endswith("Party")
    )
    running = made(**settings)
    try:
        running.start()
        yield running
    finally:
        running.close()
