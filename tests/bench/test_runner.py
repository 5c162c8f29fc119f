"""The bench runner: turns, ratios, and what it prints and writes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from apostille_bench import report
from apostille_bench.__main__ import SCENARIOS
from apostille_bench.runner import Batch, Scenario, Variant, measure


class Scripted:
    """``ours`` takes a third of what ``base`` takes, whatever the machine does meanwhile."""

    name, question = "scripted", "how fast is a script?"

    def __init__(self) -> None:
        self.calls: list[str] = []

    @contextmanager
    def variants(self, say: Callable[[str], None]) -> Iterator[Sequence[Variant]]:
        yield (
            Variant("base", "the baseline", self._runs("base", 30.0)),
            Variant("ours", "ours", self._runs("ours", 10.0)),
        )

    def _runs(self, name: str, cost: float) -> Callable[[], Batch]:
        def run() -> Batch:
            self.calls.append(name)
            slow = 1.0 + len(self.calls) // 2  # a machine that gets slower and slower
            return {"latency ms": [cost * slow, cost * slow * 2], "CPU us": [cost]}

        return run


def test_variants_are_warmed_up_once_and_then_take_turns_forwards_and_backwards() -> None:
    scripted = Scripted()
    result = measure(scripted, 3, lambda _: None)
    assert scripted.calls == ["base", "ours", *result.order]
    assert list(result.order) == ["base", "ours", "ours", "base", "base", "ours"]


def test_the_ratio_is_taken_round_by_round() -> None:
    result = measure(Scripted(), 4, lambda _: None)
    rows = {(row.metric, row.variant): row for row in result.rows}
    assert rows["CPU us", "base"].ratio is None
    assert rows["CPU us", "ours"].ratio == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    median, low, high = rows["latency ms", "ours"].ratio or (0, 0, 0)
    assert 0.25 <= low <= median <= high <= 0.5
    assert rows["latency ms", "ours"].values == 8


def test_a_result_is_a_table_for_people_and_json_for_programs(tmp_path: Path) -> None:
    result = measure(Scripted(), 2, lambda _: None)
    table = report.table(result)
    assert "x0.33 (0.33-0.33)" in table
    assert "ours: ours" in table
    written = json.loads(report.write(result, tmp_path / "out").read_text())
    assert written["scenario"] == "scripted"
    assert written["variants"] == {"base": "the baseline", "ours": "ours"}
    assert {row["variant"] for row in written["rows"]} == {"base", "ours"}
    assert set(written["machine"]) == {"cores", "machine", "python"}


# What needs a node runs where its tests are; thousands of grants, and a sidecar's loads, take minutes.
ANYWHERE = [
    pytest.param(scenario, id=name, marks=pytest.mark.soak if name in ("refusal", "grants", "sidecar") else ())
    for name, scenario in SCENARIOS.items()
    if name != "cutoff"
]


@pytest.mark.e2e
@pytest.mark.integration
@pytest.mark.parametrize("scenario", ANYWHERE)
def test_every_scenario_measures_on_the_real_thing(scenario: Scenario) -> None:
    result = measure(scenario, 1, lambda _: None)
    assert len({row.variant for row in result.rows}) >= 2
    assert all(row.median > 0 for row in result.rows)


def test_what_has_no_counterpart_is_not_called_the_baseline() -> None:
    class Lonely(Scripted):
        def _runs(self, name: str, cost: float) -> Callable[[], Batch]:
            return lambda: {"latency ms": [cost]} | ({"own s": [1.0]} if name == "ours" else {})

    own = next(line for line in report.table(measure(Lonely(), 1, lambda _: None)).splitlines() if "own s" in line)
    assert own.split() == ["own", "s", "ours", "1", "1", "1", "none"]
