"""The bench of the cut-off measures on a real node; how fast it is, is not for tests to say."""

from __future__ import annotations

import pytest

from apostille_bench.runner import measure
from apostille_bench.scenarios.cutoff import Cutoff


@pytest.mark.soak
@pytest.mark.usefixtures("alone")
def test_the_cutoff_is_measured_beside_the_platforms_floor() -> None:
    result = measure(Cutoff(), 1, lambda _: None)

    assert {(row.variant, row.metric) for row in result.rows} == {
        ("floor", "dropped s"),
        ("floor", "refused s"),
        ("apostille", "dropped s"),
        ("apostille", "refused s"),
        ("apostille", "revoked s"),
    }
    assert all(row.median > 0 for row in result.rows)
    assert next(iter(result.variants)) == "floor"
