"""What every party is tested with alike: a trust of it, and bindings to several of its targets.

A party has a module of its member's name beside this file, with ``SAMPLES`` and ``BAD``; it is found by being there.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.parties.party import Party
from apostille.parties.registry import PARTIES


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
    found: dict[str, Sample] = {}
    for party in sorted(PARTIES, key=lambda party: party.member):
        found |= importlib.import_module(f"samples.{party.member}").SAMPLES
    return found
