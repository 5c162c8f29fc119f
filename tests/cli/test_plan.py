"""`apostille plan --diff REF` in a real repository: what a pull request changes, and that nothing is touched."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from apostille.cli.files import wanted
from builders import allow, raw_binding, raw_trust, role
from cli.test_lint import run, write

ISSUER = "--issuer=https://oidc.example.com/prod"
TWO = [allow("payments", ["reader", "writer"], [role("payments-reader"), role("admin")])]
WRITER = raw_binding("s3-writer", subject={"serviceAccountNames": ["writer"]})


def git(*arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A commit on `main` with a trust for reader and writer and a binding of reader; the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    git("init", "-q", "-b", "main")
    write(tmp_path / "trusts" / "aws.yaml", raw_trust(allow=TWO))
    write(tmp_path / "bindings" / "reader.yaml", raw_binding())
    commit("first")
    git("switch", "-q", "-c", "feature")
    return tmp_path


def commit(message: str) -> None:
    git("add", "-A")
    git("commit", "-q", "-m", message)


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code, out, _ = run(capsys, "plan", "--diff", "main", "-o", "json", ISSUER, *arguments)
    return code, json.loads(out)


def test_nothing_changed(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "plan", "--diff", "main")
    head = git("rev-parse", "--short=10", "main").strip()
    assert (code, out) == (0, f"Against main ({head}): nothing changes\n")


def test_who_gains_and_what_is_rendered_then(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(repository / "bindings" / "writer.yaml", WRITER)
    code, made = planned(capsys)
    assert (code, made["loses"], made["restart"], made["newFindings"], made["notes"]) == (0, [], [], [], [])
    (gain,) = made["gains"]
    assert gain == {
        "namespace": "payments", "service_account": "writer", "party": "AWS", "target": role("payments-reader"),
        "trust": "aws-prod", "audience": "https://aws-prod.sts.example", "bindings": ["payments/s3-writer"],
    }  # fmt: skip
    (document,) = made["documents"]
    assert document["file"] == "role-payments-reader.json"
    added = [line for line in document["diff"].splitlines() if line.startswith("+") and "writer" in line]
    assert added == ['+              "system:serviceaccount:payments:writer"']


def test_who_loses_when_a_file_is_deleted(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "bindings" / "reader.yaml").unlink()
    code, made = planned(capsys)
    assert (code, made["gains"]) == (0, [])
    assert [one["service_account"] for one in made["loses"]] == ["reader"]
    assert made["documents"][0]["diff"].splitlines()[1] == "+++ /dev/null"


def test_a_suspended_trust_takes_from_all(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(repository / "trusts" / "aws.yaml", raw_trust(allow=TWO, suspended=True))
    assert [one["trust"] for one in planned(capsys)[1]["loses"]] == ["aws-prod"]


def test_what_restarts_and_what_is_enforced(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(repository / "bindings" / "reader.yaml", raw_binding(token={"expirationSeconds": 1800}))
    write(repository / "trusts" / "aws.yaml", raw_trust(allow=TWO, enforcement={"mode": "Enforce"}))
    made = planned(capsys)[1]
    assert (made["gains"], made["loses"], made["documents"]) == ([], [], [])
    assert made["restart"] == ["payments/s3-reader"]
    assert made["enforcement"] == [{"trust": "aws-prod", "before": "Audit", "after": "Enforce"}]


def test_who_may_bind(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(repository / "trusts" / "aws.yaml", raw_trust(allow=[allow("payments", ["reader", "batch"])]))
    made = planned(capsys)[1]
    assert [one["service_account"] for one in made["mayBind"]] == ["batch"]
    assert sorted((one["service_account"], one["target"]) for one in made["mayNoLongerBind"]) == [
        ("reader", role("admin")), ("writer", role("admin")), ("writer", role("payments-reader")),
    ]  # fmt: skip


def test_new_findings_count_and_old_ones_do_not(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(repository / "trusts" / "old.yaml", raw_trust("old", audience="*"))
    commit("an old sin")
    git("branch", "-f", "main")
    write(repository / "bindings" / "more.yaml", raw_binding("more", subject={"serviceAccountNames": ["stranger"]}))
    code, made = planned(capsys)
    assert (code, [one["rule"] for one in made["newFindings"]]) == (1, ["APO401"])
    assert planned(capsys, "--fail-on=never")[0] == 0
    (repository / "trusts" / "old.yaml").unlink()
    assert [one["rule"] for one in planned(capsys)[1]["mended"]] == ["APO103"]


def test_a_file_that_only_moves_changes_nothing(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git("mv", "bindings/reader.yaml", "trusts/reader.yaml")
    assert "nothing changes" in run(capsys, "plan", "--diff", "main")[1]


def test_what_others_did_on_main_meanwhile_is_not_shown(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git("switch", "-q", "main")
    write(repository / "bindings" / "writer.yaml", WRITER)
    commit("meanwhile")
    git("switch", "-q", "feature")
    assert "nothing changes" in run(capsys, "plan", "--diff", "main")[1]


def test_only_what_is_named_is_compared(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(repository / "bindings" / "writer.yaml", WRITER)
    assert planned(capsys, "trusts/", "bindings/reader.yaml")[1]["gains"] == []
    monkeypatch.chdir(repository / "bindings")
    assert len(planned(capsys, ".", "../trusts")[1]["gains"]) == 1


def test_the_repository_is_not_touched(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(repository / "bindings" / "writer.yaml", WRITER)

    def everything() -> dict[str, tuple[int, bytes]]:
        return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in repository.rglob("*") if p.is_file()}

    before = everything()
    planned(capsys)
    assert everything() == before


@pytest.mark.parametrize("ref", ["nowhere", "--output=/tmp/x", "main:trusts", ""])
def test_a_ref_that_is_none_is_said_in_one_line(repository: Path, capsys: pytest.CaptureFixture[str], ref: str) -> None:
    code, out, error = run(capsys, "plan", f"--diff={ref}")
    assert (code, out) == (2, "")
    assert error == f"apostille: no commit {ref}\n"


def test_what_cannot_be_read_is_exit_code_2(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "bindings" / "bad.yaml").write_text("a: [")
    code, _, error = run(capsys, "plan", "--diff", "main")
    assert (code, error.startswith("apostille: bindings/bad.yaml:"), "not YAML" in error) == (2, True, True)


def test_text_and_markdown_show_the_same(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(repository / "bindings" / "writer.yaml", WRITER)
    text = run(capsys, "plan", "--diff", "main")[1]
    assert "1 gains, 1 document changes" in text
    assert f"gains:\n  payments/writer  AWS {role('payments-reader')}  (trust aws-prod, " in text
    assert "note: documents are shown for the issuer https://issuer.example" in text
    markdown = run(capsys, "plan", "--diff", "main", "-o", "markdown", ISSUER)[1]
    assert "\n### Gains\n- payments/writer  AWS" in markdown
    assert "```diff\n--- a/role-payments-reader.json\n" in markdown


def test_of_a_commit_the_same_files_are_taken_as_of_the_working_tree(tmp_path: Path) -> None:
    names = [
        "a.yaml", "b.txt", ".hidden/x.yaml", "charts/a/Chart.yaml", "charts/a/templates/t.yaml", "charts/a/values.yaml",
        "charts/a/crds/c.yaml", "node_modules/x.json", "d/.x.yaml", "e/values.schema.json", "templates/t.yaml",
    ]  # fmt: skip
    for name in names:
        write(tmp_path / name, {"a": 1})
    from apostille.cli.files import read

    taken = [one[0] for one in read([str(tmp_path)], []) if isinstance(one, tuple)]
    assert sorted(str(Path(name).relative_to(tmp_path)) for name in taken) == sorted(wanted(names, ["."]))
    assert yaml.safe_load((tmp_path / "a.yaml").read_text()) == {"a": 1}
