"""What each party of this testbed stands for: README's table says by it what the product was tested against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Stands:
    """``party`` is the type of relying party, ``what`` says what it is, real or a judge.

    ``clients`` are the vendor's own packages that a test drives it with, unmodified; ``cluster`` what of a real API
    server a test brings to it.
    """

    party: str
    what: str
    clients: tuple[str, ...] = ()
    cluster: Literal["", "tokens", "rotation"] = "tokens"
