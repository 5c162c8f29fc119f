"""Audiences by which relying parties are known: a token for one of them is of use to it, and to no other."""

from __future__ import annotations

from collections.abc import Iterator

from apostille.model.finding import Finding
from apostille.parties.party import Party
from apostille.parties.registry import owner
from apostille.rules.catalogue import AUD_FOREIGN


def audience(value: str, path: str, party: Party) -> Iterator[Finding]:
    """X-AUD-FOREIGN: the audience is known as that of another party than the declared one."""
    if (found := owner(value, party.name)) is None:
        return
    other, customer = found
    what = "the address of a customer" if customer else "an audience"
    whose = f", not of {party.name}" if customer else f", the relying party is {party.name}"
    yield AUD_FOREIGN.at(path, f"{value!r} is {what} of {other.vendor}{whose}")
