"""A result as a table for people and as JSON for programs."""

from __future__ import annotations

import dataclasses
import json
import os
import platform
from pathlib import Path

from apostille_bench.runner import Result

_HEAD = ("metric", "variant", "median", "p99", "values", "to baseline (low-high)")


def table(result: Result) -> str:
    """One line a metric and variant; the variants' meaning below."""
    lines = [_HEAD]
    previous, baseline = "", next(iter(result.variants))
    for row in result.rows:
        ratio = "baseline" if row.variant == baseline else "none"
        if row.ratio is not None:
            ratio = "x{:.2f} ({:.2f}-{:.2f})".format(*row.ratio)
        shown = row.metric if row.metric != previous else ""
        lines.append((shown, row.variant, _number(row.median), _number(row.p99), f"{row.values:,}", ratio))
        previous = row.metric
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEAD))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    text += ["", *(f"{name}: {what}" for name, what in result.variants.items())]
    return "\n".join(text)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def write(result: Result, folder: Path) -> Path:
    """``folder/SCENARIO.json``: the result, and the kind of machine; no names of machines."""
    folder.mkdir(parents=True, exist_ok=True)
    machine = {
        "cores": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    path = folder / f"{result.scenario}.json"
    path.write_text(json.dumps({"machine": machine, **dataclasses.asdict(result)}, indent=2) + "\n")
    return path
