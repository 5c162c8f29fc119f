"""An audience by which one relying party is known is refused to every other one."""

from __future__ import annotations

import pytest

from apostille.core import foreign
from apostille.parties.party import Party
from apostille.parties.registry import BY_NAME, PARTIES

AWS = BY_NAME["AWS"]


def found(value: str, party: Party) -> list[str]:
    return [str(finding).partition(". ")[0] for finding in foreign.audience(value, "spec.audience", party)]


def example(known: str) -> str:
    """A value that this entry means."""
    return f"https://acme{known}" if known[0] == "." else f"{known}x" if known[-1] == "/" else known


@pytest.mark.parametrize("owner", [party for party in PARTIES if party.audiences], ids=lambda party: party.name)
def test_what_is_one_partys_is_no_others(owner: Party) -> None:
    for known in owner.audiences:
        for party in PARTIES:
            told = found(example(known), party)
            assert bool(told) is (party is not owner), (known, party.name)
            assert all(owner.vendor in line and party.name in line for line in told)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("vault", "'vault' is an audience of Vault, the relying party is AWS"),
        ("API://x", "'API://x' is an audience of Microsoft Entra, the relying party is AWS"),
        (
            "https://acme.snowflakecomputing.com/x",
            "'https://acme.snowflakecomputing.com/x' is the address of a customer of Snowflake, not of AWS",
        ),
    ],
)
def test_what_is_said(value: str, told: str) -> None:
    assert found(value, AWS) == [f"spec.audience: {told}"]


@pytest.mark.parametrize(
    "value",
    ["https://vault.example", "vault-readers", "https://api.example", "https://sts.amazonaws.com.example",
     "https://snowflakecomputing.com.example", "sts.amazonaws.com"],
)  # fmt: skip
def test_neighbours_are_nobodys(value: str) -> None:
    assert found(value, AWS) == []
