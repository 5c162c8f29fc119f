"""Runs the variants of a scenario in turns and puts them side by side."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol

Batch = Mapping[str, Sequence[float]]
"""What one batch of a variant measured: metric to values, such as ``latency ms`` to one value a request."""


@dataclass(frozen=True)
class Variant:
    """One way to do the same thing. ``run`` does one batch; a run before the first round warms it up."""

    name: str
    what: str
    run: Callable[[], Batch]


class Scenario(Protocol):
    """One question. The first of its variants is the baseline."""

    @property
    def name(self) -> str:
        """As typed on the command line."""

    @property
    def question(self) -> str:
        """What is asked, in one line."""

    def variants(self, say: Callable[[str], None]) -> AbstractContextManager[Sequence[Variant]]:
        """Starts what is needed, and ends it afterwards."""


@dataclass(frozen=True)
class Row:
    """A metric of one variant over all rounds. ``ratio`` is to the baseline, round by round: (median, low, high)."""

    variant: str
    metric: str
    median: float
    p99: float
    values: int
    ratio: tuple[float, float, float] | None


@dataclass(frozen=True)
class Result:
    """Everything a run found; ``order`` is the order in which batches ran."""

    scenario: str
    rounds: int
    variants: Mapping[str, str]
    rows: Sequence[Row]
    order: Sequence[str] = field(repr=False)


def measure(scenario: Scenario, rounds: int, say: Callable[[str], None]) -> Result:
    """Every round runs each variant once, in turns forwards and backwards, so that drift hits all alike."""
    with scenario.variants(say) as variants:
        for variant in variants:
            variant.run()
        batches: dict[str, list[Batch]] = {variant.name: [] for variant in variants}
        order: list[str] = []
        for number in range(rounds):
            for variant in variants if number % 2 == 0 else reversed(variants):
                batches[variant.name].append(variant.run())
                order.append(variant.name)
            say(f"{scenario.name}: round {number + 1} of {rounds}")
        what = {variant.name: variant.what for variant in variants}
    return Result(scenario.name, rounds, what, _rows(batches), order)


def _rows(batches: Mapping[str, Sequence[Batch]]) -> list[Row]:
    baseline = next(iter(batches))
    metrics = list(dict.fromkeys(metric for found in batches.values() for batch in found for metric in batch))
    rows = []
    for metric in metrics:
        for name, found in batches.items():
            values = sorted(value for batch in found for value in batch.get(metric, ()))
            if not values:
                continue
            ratio = None
            if name != baseline:
                pairs = zip(found, batches[baseline], strict=True)
                ratios = [
                    statistics.median(ours[metric]) / statistics.median(base[metric])
                    for ours, base in pairs
                    if ours.get(metric) and base.get(metric)
                ]
                ratio = (statistics.median(ratios), min(ratios), max(ratios)) if ratios else None
            rows.append(Row(name, metric, statistics.median(values), _percentile(values, 0.99), len(values), ratio))
    return rows


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
