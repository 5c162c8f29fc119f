"""What each file of ``examples/values`` changes, written down to be read in a review: the difference to the defaults.

After an intended change, rewrite with ``APOSTILLE_UPDATE_GOLDEN=1 hack/python -m pytest tests/chart/test_golden.py``.
The defaults themselves are ``hack/manifests`` and the tests of single objects.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

import pytest

from apostille import __version__
from apostille_testbed.chart import ROOT
from chart import matrix
from chart.rendering import text

HERE = Path(__file__).parent / "golden"
UPDATE = os.environ.get("APOSTILLE_UPDATE_GOLDEN") == "1"
EXAMPLES = sorted(path.stem for path in (ROOT / "examples" / "values").glob("*.yaml"))


def differences(name: str) -> str:
    """Unified diff of the rendering, three lines of context, without long files that are passed on."""
    before, after = (text(values) for values in ({}, matrix.WHOLE[name]))
    lines = difflib.unified_diff(
        _lines(before), _lines(after), "defaults", f"examples/values/{name}.yaml", lineterm="", n=3
    )
    # Line numbers would differ with every change above.
    return "".join(f"{'@@' if line.startswith('@@') else line}\n" for line in lines)


def _lines(rendered: str) -> list[str]:
    """Without the dashboard and the alerts, which have tests of their own."""
    kept = []
    for document in rendered.replace(__version__, "VERSION").split("---\n"):
        head = document.partition("\nspec:\n" if "kind: PrometheusRule" in document else "\ndata:\n")
        long = "kind: PrometheusRule" in document or "apostille-dashboard" in document
        kept += (head[0] if long else document).splitlines()
    return kept


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_file_of_values_changes_what_is_written_down(name: str) -> None:
    file = HERE / f"{name}.diff"
    found = differences(name)
    if UPDATE:
        file.parent.mkdir(exist_ok=True)
        file.write_text(found)
    assert file.read_text() == found
    assert sorted(path.stem for path in HERE.iterdir()) == EXAMPLES
