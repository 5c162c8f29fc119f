"""Measures scenarios: baseline and ours in turns, in one run; prints a table and writes JSON."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from apostille_bench import report
from apostille_bench.runner import Scenario, measure
from apostille_bench.scenarios.cutoff import Cutoff
from apostille_bench.scenarios.grants import Grants
from apostille_bench.scenarios.lint import Lint
from apostille_bench.scenarios.pods import Pods
from apostille_bench.scenarios.refusal import Refusal
from apostille_bench.scenarios.start import Start
from apostille_bench.scenarios.webhook import Webhook
from apostille_testbed.progress import Console

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario for scenario in (Webhook(), Pods(), Cutoff(), Refusal(), Grants(), Start(), Lint())
}


def main() -> int:
    """0 when everything was measured."""
    listing = "\n".join(f"  {scenario.name:12} {scenario.question}" for scenario in SCENARIOS.values())
    parser = argparse.ArgumentParser(
        "hack/bench",
        description=__doc__,
        epilog=f"scenarios:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="default: all")
    parser.add_argument("--rounds", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=Path("out/bench"), help="folder of the JSON (%(default)s)")
    options = parser.parse_args()
    if unknown := [name for name in options.scenarios if name not in SCENARIOS]:
        parser.error(f"there is no scenario {unknown[0]}; there are {', '.join(SCENARIOS)}")
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    for name in options.scenarios or SCENARIOS:
        scenario = SCENARIOS[name]
        print(f"{name}: {scenario.question}", flush=True)
        result = measure(scenario, options.rounds, Console())
        print(f"\n{report.table(result)}\n\nwritten to {report.write(result, options.output)}\n", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
