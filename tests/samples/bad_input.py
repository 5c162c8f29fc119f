"""What people get wrong, for every party: the input of its sample with one thing changed.

A party brings its own in ``BAD`` of its sample's module: case → change. What is said of each is written down in
``tests/golden/bad-input/PARTY.yaml``, to be read in a review; the API server is held to the same words.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import msgspec

from apostille.kinds.federation_trust import FederationTrust
from apostille.parties.party import Party
from apostille.parties.registry import PARTIES
from samples.sample import every

Json = dict[str, Any]


@dataclass(frozen=True)
class Bad:
    """``settings`` replaces fields of the union member, ``spec`` of the trust's spec, ``target`` its only target.

    ``issuer`` is the cluster's, where that is what is wrong.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)
    target: str = ""
    issuer: str = ""

    def document(self, by: FederationTrust) -> Json:
        """The trust as it would be applied."""
        spec = _told(msgspec.to_builtins(by.spec))
        spec["relyingParty"][by.party.member] |= deepcopy(dict(self.settings))
        spec |= deepcopy(dict(self.spec))
        if self.target:
            spec["allow"][0]["targets"] = [self.target]
        return {
            "apiVersion": "apostille.dev/v1alpha1",
            "kind": "FederationTrust",
            "metadata": {"name": by.name},
            "spec": spec,
        }


# Of every party: whether the party minds is for its golden file to say.
_ALWAYS = {
    "an issuer that only the cluster can reach": Bad(issuer="https://kubernetes.default.svc"),
    "an issuer without TLS": Bad(issuer="http://oidc.example.com"),
}


def first(party: Party) -> FederationTrust:
    """The trust of its first sample."""
    return next(sample.trust for sample in every().values() if sample.party is party)


def cases() -> Iterator[tuple[Party, str, Bad]]:
    """Of every party its own, and what is asked of all."""
    for party in PARTIES:
        own: Mapping[str, Bad] = importlib.import_module(f"samples.{party.member}").BAD
        for name, bad in (own | _ALWAYS).items():
            yield party, name, bad


def _told(value: Any) -> Any:
    # Union members that are not set.
    return {k: _told(v) for k, v in value.items() if v is not None} if isinstance(value, dict) else value
