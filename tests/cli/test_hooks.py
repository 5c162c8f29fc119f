"""The hooks for pre-commit: as its manifest wants them, and their commands do what they say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders import raw_trust
from cli.test_lint import run, write

ROOT = Path(__file__).parents[2]
HOOKS: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_each_has_what_the_manifest_asks_for(hook: dict[str, Any]) -> None:
    # https://pre-commit.com/#creating-new-hooks
    assert {"id", "name", "entry", "language"} <= set(hook)
    known = {"files", "args", "description", "additional_dependencies", "pass_filenames", "always_run", "verbose"}
    assert set(hook) <= {"id", "name", "entry", "language"} | known
    if "files" in hook:
        assert re.search(hook["files"], "trusts/aws.yaml")


def test_lint_fails_on_a_finding_and_else_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (hook,) = [one for one in HOOKS if one["id"] == "apostille-lint"]
    program, *command = [*shlex.split(hook["entry"]), *hook["args"]]
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "t.yaml", raw_trust())
    assert (program, run(capsys, *command)[0]) == ("apostille", 0)
    write(tmp_path / "t.yaml", raw_trust(audience="*"))
    assert run(capsys, *command)[0] == 1
