"""What every party is tested with alike: a trust of it, and bindings to several of its targets.

A party has a module of its name beside this file, with ``SAMPLES``; it is found by being there.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.parties.party import Party


@dataclass(frozen=True)
class Sample:
    """A party with one of its trusts and its targets."""

    trust: FederationTrust
    bind: Callable[..., WorkloadBinding]
    targets: tuple[dict[str, Any], ...]

    @property
    def party(self) -> Party:
        """The trust's."""
        return self.trust.party


def every() -> dict[str, Sample]:
    """The samples of all parties by name; a party may have several."""
    modules = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.name != Path(__file__).name)
    found: dict[str, Sample] = {}
    for module in modules:
        found |= importlib.import_module(f"samples.{module}").SAMPLES
    return found
