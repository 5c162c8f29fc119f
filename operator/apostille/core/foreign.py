"""Audiences by which relying parties are known: a token for one of them is of use to it, and to no other."""

from __future__ import annotations

from collections.abc import Iterator

from apostille.model.finding import Finding
from apostille.parties.party import Party
from apostille.parties.registry import PARTIES
from apostille.rules.catalogue import AUD_FOREIGN


def audience(value: str, path: str, party: Party) -> Iterator[Finding]:
    """X-AUD-FOREIGN: the audience is known as that of another party than the declared one."""
    lower = value.lower()
    host = lower.removeprefix("https://").partition("/")[0].partition(":")[0]
    for other in PARTIES:
        if other.name == party.name:
            continue
        for known in other.audiences:
            if known[0] == "." and host.endswith(known):
                yield AUD_FOREIGN.at(
                    path, f"{value!r} is the address of a customer of {other.vendor}, not of {party.name}"
                )
            elif lower == known or (known[-1] == "/" and lower.startswith(known)):
                yield AUD_FOREIGN.at(
                    path, f"{value!r} is an audience of {other.vendor}, the relying party is {party.name}"
                )
