"""The example of docs/testbed.md runs as it is printed there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.usefixtures("isolation")]


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[2] / "docs" / "testbed.md").read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)

    exec(compile(example, "docs/testbed.md", "exec"), {})  # noqa: S102

    assert capsys.readouterr().out.strip() == "https://sts.eu-west-1.amazonaws.com"
