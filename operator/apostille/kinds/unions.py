"""The discriminated unions, assembled from the registered parties."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from apostille.parties.party import Party
from apostille.parties.registry import BY_NAME, PARTIES

NAMES = tuple(party.name for party in PARTIES)


def _member(kind: type[msgspec.Struct], what: str) -> Any:
    return Annotated[kind | None, Meta(description=what)]


if TYPE_CHECKING:

    class RelyingParty(msgspec.Struct, frozen=True):
        """Who accepts the assertions: exactly the member that ``type`` names."""

        type: str

    class Target(msgspec.Struct, frozen=True):
        """The identity taken on at the relying party: exactly one member, the trust's."""

else:
    RelyingParty = msgspec.defstruct(
        "RelyingParty",
        [
            (
                "type",
                Annotated[
                    Literal[NAMES],
                    Meta(description="type names the relying party and the one member that describes it."),
                ],
            ),
            *(
                (
                    party.member,
                    _member(party.Trust, f"{party.member} describes a relying party of type {party.name}."),
                    None,
                )
                for party in PARTIES
            ),
        ],
        frozen=True,
        forbid_unknown_fields=True,
        namespace={"__doc__": "Who accepts the assertions: exactly the member that `type` names."},
    )
    Target = msgspec.defstruct(
        "Target",
        [
            (
                party.member,
                _member(party.Target, f"{party.member} is an identity at a relying party of type {party.name}."),
                None,
            )
            for party in PARTIES
        ],
        frozen=True,
        forbid_unknown_fields=True,
        namespace={
            "__doc__": "The identity taken on at the relying party: exactly one member, the one of the trust's party."
        },
    )


def party_of(relying_party: RelyingParty) -> tuple[Party, Any]:
    """The party and its settings. Raises ValueError when the member does not fit the type."""
    party = BY_NAME[relying_party.type]
    settings = getattr(relying_party, party.member)
    if settings is None:
        raise ValueError(f"spec.relyingParty.{party.member}: required when type is {party.name}")
    return party, settings


def target_of(target: Target, party: Party) -> Any:
    """The target for this party, or None where the binding names another party's."""
    return getattr(target, party.member)


def target_members(target: Target) -> tuple[str, ...]:
    """The union members that are set."""
    return tuple(party.member for party in PARTIES if getattr(target, party.member) is not None)


def relying_party_rules() -> list[Mapping[str, str]]:
    """CEL: exactly the member that the discriminator names, with the field that is wrong."""
    return [
        {
            "rule": f"self.type == '{party.name}' ? has(self.{party.member}) : !has(self.{party.member})",
            "message": f"{party.member} is required when type is {party.name}, and forbidden otherwise",
            "fieldPath": f".{party.member}",
            "reason": "FieldValueInvalid",
        }
        for party in PARTIES
    ]


def target_rules() -> list[Mapping[str, str]]:
    """CEL: exactly one member."""
    count = " + ".join(f"(has(self.{party.member}) ? 1 : 0)" for party in PARTIES)
    members = ", ".join(party.member for party in PARTIES)
    return [
        {
            "rule": f"{count} == 1",
            "message": f"name exactly one target, the one of the trust's relying party ({members})",
            "reason": "FieldValueInvalid",
        }
    ]
