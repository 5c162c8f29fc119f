"""`apostille lint` and `apostille rules` as typed: exit codes, what is read of folders, the cluster."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import builders
from apostille.cli import files
from apostille.cli.main import main
from apostille.lint.rules import RULES
from apostille.parties.registry import catalogue
from builders import raw_binding, raw_trust


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """(exit code, standard output, standard error)."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    out, error = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, out, error


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a trust and a binding that are fine; the working directory."""
    write(tmp_path / "trusts" / "aws.yaml", raw_trust())
    write(tmp_path / "bindings" / "team" / "s3.yml", raw_binding())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, *documents: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("---\n".join(yaml.safe_dump(document) for document in documents))


def test_nothing_found_is_exit_code_0(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "lint", "trusts/", "bindings") == (0, "2 objects in 2 files: no findings\n", "")


@pytest.mark.parametrize(
    ("audience", "on", "code"),
    [("*", "deny", 1), ("*", "warn", 1), ("*", "never", 0), ("sts.amazonaws.com", "deny", 0),
     ("sts.amazonaws.com", "warn", 1)],
)  # fmt: skip
def test_what_counts_is_chosen(
    repository: Path, capsys: pytest.CaptureFixture[str], audience: str, on: str, code: int
) -> None:
    write(repository / "trusts" / "aws.yaml", raw_trust(audience=audience))
    assert run(capsys, "lint", ".", "--fail-on", on)[0] == code


def test_what_cannot_be_read_is_exit_code_2_beside_what_was_found(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "bad.yaml").write_bytes(b"a: \xff\n")
    (repository / "twice.yaml").write_text("a: 1\na: 2\n")
    write(repository / "trusts" / "aws.yaml", raw_trust(audience="*"))
    code, out, _ = run(capsys, "lint", ".", "-o", "json")
    found = json.loads(out)
    assert code == 2
    assert [one["rule"] for one in found["findings"]] == ["APO103"]
    assert [(one["file"], one["line"]) for one in found["problems"]] == [("bad.yaml", 1), ("twice.yaml", 2)]


@pytest.mark.parametrize(
    "arguments", [["nowhere.yaml"], ["--party-address=a b", "."], ["--cluster", "--kubeconfig=no", "."]]
)
def test_what_cannot_be_done_is_said_in_one_line(
    repository: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    code, out, error = run(capsys, "lint", *arguments)
    assert (code, out) == (2, "")
    (line,) = error.splitlines()
    assert line.startswith("apostille: ")


def test_standard_input_is_read_beside_files(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    piped = yaml.safe_dump_all([raw_binding("other", token={"expirationSeconds": 7200})]).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped)))
    code, out, _ = run(capsys, "lint", "trusts", "-", "-o", "github")
    assert code == 1
    assert out.startswith("::error file=stdin,line=")


def test_of_folders_only_what_may_concern_us_is_read(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in (
        ".git/x.yaml",
        "node_modules/x.yaml",
        "charts/a/templates/x.yaml",
        "charts/a/values.yaml",
        "notes.txt",
    ):
        path = repository / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{{ not YAML }}: [")
    (repository / "charts" / "a" / "Chart.yaml").write_text("name: a\n")
    os.symlink(repository, repository / "loop")
    code, out, _ = run(capsys, "lint", ".")
    assert code == 0
    assert out.splitlines()[0].startswith("note: 1 Helm chart under .: templates are not read; render them first")


def test_test_data_is_read_where_it_is_named(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(repository / "argocd" / "testdata" / "wrong.yaml", raw_trust("wrong", audience="*"))
    code, out, _ = run(capsys, "lint", ".")
    assert code == 0
    assert out.splitlines()[0] == "note: not read: argocd/testdata; name a folder of test data to have it judged"
    for named in ("argocd/testdata", "argocd/testdata/wrong.yaml"):
        code, out, _ = run(capsys, "lint", named)
        assert (code, "APO103" in out) == (1, True)


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["web"], ["a.yaml", "deep/web.yaml", "trusts/x/a.yaml"]),
        (["web/", "deep"], ["a.yaml", "trusts/x/a.yaml"]),
        (["./trusts/x"], ["a.yaml", "deep/web.yaml", "deep/web/b.yaml", "web/a.yaml"]),
        (["a.yaml"], ["deep/web.yaml", "deep/web/b.yaml"]),
        (["deep/*.yaml"], ["a.yaml", "trusts/x/a.yaml", "web/a.yaml"]),
        (["deep/web/[bc].yaml", "?.yaml"], ["deep/web.yaml"]),
        (["eb", "WEB"], ["a.yaml", "deep/web.yaml", "deep/web/b.yaml", "trusts/x/a.yaml", "web/a.yaml"]),
    ],
)
def test_what_is_excluded_is_not_read_where_it_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], patterns: list[str],
    left: list[str],
) -> None:  # fmt: skip
    """Nor in a commit, nor under an absolute name."""
    monkeypatch.chdir(tmp_path)
    every = ["a.yaml", "deep/web.yaml", "deep/web/b.yaml", "trusts/x/a.yaml", "web/a.yaml"]
    for name in every:
        write(tmp_path / name, {"a": 1})
    given = [f"--exclude={pattern}" for pattern in patterns]
    patterns = [pattern.removeprefix("./").rstrip("/") for pattern in patterns]
    for path in (".", str(tmp_path)):
        read = [one[0] for one in files.read([path], [], patterns) if isinstance(one, tuple)]
        assert sorted(str(Path(name).absolute().relative_to(tmp_path)) for name in read) == left
        assert f"in {len(left)} file" in run(capsys, "lint", path, *given)[1]
    assert sorted(files.wanted(every, ["."], patterns)) == left
    assert "in 1 file:" in run(capsys, "lint", "web/a.yaml", *given)[1], "what is named is meant"
    assert files.wanted(every, ["web/a.yaml"], patterns).count("web/a.yaml") == 1


def test_of_sql_only_what_is_rendered_is_read(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "migration.sql").write_bytes(b"-- \xff\n")
    (repository / "user-READER.sql").write_text(
        "CREATE USER IF NOT EXISTS READER TYPE = PERSON;\n"
        "ALTER USER READER SET WORKLOAD_IDENTITY = (\n  TYPE = OIDC ISSUER = 'https://i.example'\n"
        "  SUBJECT = 'system:serviceaccount:payments:reader' OIDC_AUDIENCE_LIST = ('https://own.example')\n);\n"
    )
    code, out, _ = run(capsys, "lint", ".", "-o", "json")
    assert (code, [(one["rule"], one["file"]) for one in json.loads(out)["findings"]]) == (
        1, [("SNO204", "user-READER.sql")],
    )  # fmt: skip


KEY = {"kty": "RSA", "kid": "key-1", "n": "n", "e": "AQAB"}


def test_the_clusters_keys_can_be_given(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without them a set that lacks one is not known to; what is no key set, or a private one, is wrong usage."""
    (repository / "published.json").write_text(json.dumps({"keys": [KEY, {**KEY, "kid": "key-0"}]}))
    issuer = ("--issuer", builders.ISSUER.url)
    assert run(capsys, "lint", "published.json", *issuer, "--fail-on", "warn")[0] == 0
    (repository / "jwks").write_text(json.dumps({"keys": [KEY]}))
    code, out, _ = run(capsys, "lint", "published.json", *issuer, "--jwks", "jwks", "--fail-on", "warn")
    assert (code, "APO706" in out, "key-0" in out) == (1, True, True)
    for text, said in (
        ("[1]", "not a JSON Web Key Set"), ("{", "jwks: "), (json.dumps({"keys": [{**KEY, "d": "s"}]}), "APO704"),
        ("[" * 100_000, "jwks: "),
    ):  # fmt: skip
        (repository / "jwks").write_text(text)
        code, out, error = run(capsys, "lint", "published.json", *issuer, "--jwks", "jwks")
        assert (code, out, said in error, len(error.splitlines())) == (2, "", True, 1)
    assert run(capsys, "lint", "published.json", "--jwks", "jwks")[0] == 2, "whose keys they are is not known"


@pytest.mark.parametrize("form", ["text", "json", "yaml", "sarif", "junit", "github"])
def test_a_name_that_is_no_regular_file_is_a_problem(
    repository: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    os.mkfifo(repository / "pipe.yaml")
    code, out, _ = run(capsys, "lint", ".", "-o", form)
    assert (code, "not a regular file" in out) == (2, True)


def test_files_are_read_once(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "lint", ".", "trusts", "./trusts/aws.yaml")[1].startswith("2 objects in 2 files")


def test_rules_lists_all_and_says_everything_about_one(capsys: pytest.CaptureFixture[str]) -> None:
    every = (*catalogue(), *RULES)
    code, out, _ = run(capsys, "rules")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == [rule.id for rule in every]
    (of_slug,) = json.loads(run(capsys, "rules", "x-confused-target", "-o", "json")[1])
    assert of_slug["id"] == "APO401"
    shown = run(capsys, "rules", "APO401")[1]
    assert of_slug["remedy"][:30] in shown
    assert run(capsys, "rules", "APO999")[0] == 1


def test_the_lints_own_ids_are_nobody_elses() -> None:
    every = [rule.id for rule in (*catalogue(), *RULES)]
    assert len(set(every)) == len(every)
    assert {rule.id[:3] for rule in RULES} == {"LNT"}


@pytest.mark.parametrize("folder", ["quickstart", "gitops"])
def test_the_examples_are_clean(capsys: pytest.CaptureFixture[str], folder: str) -> None:
    examples = Path(__file__).parents[2] / "examples"
    assert run(capsys, "lint", str(examples / folder), "--issuer", builders.ISSUER.url)[0] == 0
