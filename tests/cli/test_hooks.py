"""The hooks for pre-commit, run by pre-commit itself: its manifest holds, and a commit that lint refuses is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "gitops"
CONFIG = EXAMPLE / ".pre-commit-config.yaml"
HOOKS: dict[str, Any] = {one["id"]: one for one in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
TRUST = "platform/trusts/aws-prod.yaml"


def pre_commit(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "pre_commit", *arguments, **environment)


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """In the working directory, as nobody in particular; both streams as one."""
    who = {f"GIT_{role}_{what}": "t" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=600,
        env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "NO_COLOR": "1", **who, **environment},
    )  # fmt: skip


def git(*arguments: str) -> None:
    assert (done := run("git", *arguments)).returncode == 0, done.stdout


def repository(folder: Path, config: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The example as a repository with a first commit that ``origin/main`` has too; the working directory."""
    shutil.copytree(EXAMPLE, folder)
    monkeypatch.chdir(folder)
    (folder / CONFIG.name).write_text(yaml.safe_dump(config, sort_keys=False))
    git("init", "-q", "-b", "main")
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    git("update-ref", "refs/remotes/origin/main", "HEAD")


def broken() -> None:
    """A trust as the catalogue refuses it, added to the next commit."""
    path = Path(TRUST)
    path.write_text(path.read_text().replace("audience: https://", "audience: https://*."))
    git("add", TRUST)


def test_manifest_and_example_are_what_pre_commit_takes() -> None:
    for what, path in (("validate-manifest", ROOT / ".pre-commit-hooks.yaml"), ("validate-config", CONFIG)):
        done = pre_commit(what, path)
        assert (done.returncode, done.stdout) == (0, "")
    (used,) = yaml.safe_load(CONFIG.read_text())["repos"]
    assert [one["id"] for one in used["hooks"]] == list(HOOKS)


def test_a_commit_is_refused_with_what_lint_and_plan_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example's hooks as the manifest has them, but for the environment that pre-commit would make for them."""
    program = tmp_path / "bin" / "apostille"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m apostille.cli.main "$@"\n')
    program.chmod(0o755)
    (used,) = yaml.safe_load(CONFIG.read_text())["repos"]
    here = [{**HOOKS[one["id"]], **one, "language": "system", "additional_dependencies": []} for one in used["hooks"]]
    repository(tmp_path / "repository", {"repos": [{"repo": "local", "hooks": here}]}, monkeypatch)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "home"))
    assert pre_commit("install").returncode == 0

    done = pre_commit("run", "--all-files")
    assert done.returncode == 0, done.stdout
    assert "nothing changes" in done.stdout

    Path("teams/notes.txt").write_text("nothing of ours\n")
    git("add", "teams/notes.txt")
    done = run("git", "commit", "-m", "notes")
    assert (done.returncode, "apostille lint" in done.stdout, "(no files to check)Skipped" in done.stdout) == (
        0, True, True,
    )  # fmt: skip

    broken()
    done = run("git", "commit", "-m", "broken")
    assert done.returncode == 1
    told = done.stdout.partition("apostille plan")
    assert all(f"{TRUST}:" in part and "APO103" in part for part in told[::2]), "by both hooks, with the file"


@pytest.mark.e2e
@pytest.mark.timeout(900)
def test_pre_commit_installs_the_hooks_from_this_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user: a repository and a tag. Needs the package index, where what the package depends on comes from."""
    source = tmp_path / "apostille"
    for name in ("operator", "pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        source.mkdir(exist_ok=True)
        copy(ROOT / name, source / name)
    monkeypatch.chdir(source)
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "released"], ["tag", "v0.2.0"]):
        git(*arguments)
    config = yaml.safe_load(CONFIG.read_text())
    config["repos"][0]["repo"] = str(source)
    repository(tmp_path / "repository", config, monkeypatch)
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PYTHONPATH", raising=False)

    done = pre_commit("run", "--all-files")
    assert done.returncode == 0, done.stdout
    broken()
    done = pre_commit("run", "--all-files")
    assert (done.returncode, done.stdout.count("APO103") >= 2) == (1, True), done.stdout
