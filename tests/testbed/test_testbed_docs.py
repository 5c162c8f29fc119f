"""The first example of docs/testbed.md runs as printed; the node's is what the fixtures of tests/node do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.usefixtures("isolation")]


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "testbed.md").read_text()
    examples = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (example,) = (found for found in examples if "pod_runner" in found)

    exec(compile(example, "docs/testbed.md", "exec"), {})  # noqa: S102

    assert capsys.readouterr().out.strip() == "https://sts.eu-west-1.amazonaws.com"
