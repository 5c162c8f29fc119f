"""Key sets and algorithms, beyond the cases of the catalogue."""

from __future__ import annotations

from apostille.rules.keys import algorithms
from builders import ISSUER
from rules.issuer_cases import KEY, keys


def test_no_algorithm_of_no_proof_passes() -> None:
    told = [found.message for found in algorithms(["none", "None", "HS256", "hs512", "RS256", "EdDSA"], "p")]
    assert told == [f"{name} is among the algorithms" for name in ("none", "None", "HS256", "hs512")]


def test_a_key_of_a_rotation_is_told_on_both_sides() -> None:
    found = keys({**KEY, "kid": "key-0"}, issuer=ISSUER)()
    assert [finding.message for finding in found] == [
        "https://oidc.example.com/cluster-a signs with key-1, which is not there",
        "https://oidc.example.com/cluster-a does not publish key-0 any more",
    ]
