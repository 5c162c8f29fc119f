"""Bad input by every way in which it comes: a clear line with its file, exit code 2, and never a traceback."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from apostille.lint.report import Report
from apostille.model.finding import Severity
from builders import allow, raw_trust
from cli.test_lint import run, write
from cli.test_plan import commit, git
from lint.test_lint import report

BAD: dict[str, tuple[bytes, str]] = {
    "malformed": (b"a: [1\nb: 2\n", "not YAML"),
    "not UTF-8": (b"a: 1\nb: \xff\n", "not UTF-8 (byte 0xff)"),
    "a key twice": (b'{"a": 1, "b": {"c": 1, "c": 2}}\n', "the key 'c' stands there twice"),
    "3 MiB": (b"apiVersion: v1\na: " + b"x" * (3 << 20), "a document of 3.0 MiB"),
    "deep": (b'{"a": ' * 50_000, "nested deeper than 100 levels"),
    "deep, and closed": (b"[" * 50_000 + b"]" * 50_000, "nest"),
    "aliases of aliases": (
        b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + b"".join(b"a%d: &a%d [%s]\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 20)),
        "aliases counted in full",
    ),
    "a template": (b"a: {{ .Values.a }}\n", "this is a template: render it first"),
}
# As text that is no YAML; whose it is only its own party can tell.
SCRIPTS = ("not UTF-8", "3 MiB")
WAYS = ("file", "folder", "stdin", "plan")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A commit with a trust that is refused; the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    git("init", "-q", "-b", "main")
    write(tmp_path / "trust.yaml", raw_trust(audience="*"))
    commit("first")
    return tmp_path


def given(
    way: str, name: str, data: bytes, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> tuple[int, list[tuple[str, int, str]], list[str]]:
    """Exit code, (file, line, what is wrong), and the rules that were told all the same."""
    if way == "stdin":
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    else:
        Path(name).write_bytes(data)
    if way == "plan":
        git("switch", "-q", "-c", "feature")
        write(Path("trust.yaml"), raw_trust(audience="*", ceilings={"assertionSeconds": 7200}))
        code, out, error = run(capsys, "plan", "--diff", "main", "-o", "json")
        told = [line.removeprefix("apostille: ").split(":", 2) for line in error.splitlines()]
        problems = [(file, int(line), message.strip()) for file, line, message in told]
        return code, problems, [one["rule"] for one in json.loads(out)["newFindings"]]
    paths = {"file": ["trust.yaml", name], "folder": ["."], "stdin": ["trust.yaml", "-"]}[way]
    code, out, error = run(capsys, "lint", *paths, "-o", "json")
    assert error == ""
    made = json.loads(out)
    problems = [(one["file"], one["line"], one["message"]) for one in made["problems"]]
    return code, problems, [one["rule"] for one in made["findings"]]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("name", ["x.yaml", "role-x.json"])
def test_it_is_told_in_a_line_beside_what_was_found(
    repository: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    kind: str,
    name: str,
) -> None:
    data, said = BAD[kind]
    code, problems, rules = given(way, name, data, capsys, monkeypatch)
    ((file, line, message),) = problems
    assert (code, file) == (2, "stdin" if way == "stdin" else name)
    assert line >= 1
    assert said in message
    assert len(message) < 300
    assert rules == (["APO302"] if way == "plan" else ["APO103"]), "what can be read is judged"


@pytest.mark.parametrize("kind", SCRIPTS)
@pytest.mark.parametrize("name", ["openid.env", "user-READER.sql"])
def test_scripts_and_environments_are_bounded_too(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, kind: str, name: str
) -> None:
    code, problems, _ = given("folder", name, BAD[kind][0], capsys, monkeypatch)
    assert code == 2
    assert [(file, BAD[kind][1] in message) for file, _, message in problems] == [(name, True)]


OTHERS: dict[str, bytes] = {
    "tsconfig.json": b'{\n  // with comments\n  "compilerOptions": {"strict": true,},\n}\n',
    "package-lock.json": json.dumps({"packages": {f"node_modules/p{i}": "x" * 80 for i in range(30_000)}}).encode(),
    "pnpm-lock.yaml": b"packages:\n" + b"".join(b"  p%d: {integrity: sha512}\n" % i for i in range(90_000)),
    "latin.json": '{"name": "Zoë"}'.encode("latin-1"),
    "twice.json": b'{"a": 1, "a": 2}',
}
# The same ways to be unreadable, where it may be ours.
OURS: dict[str, bytes] = {
    "comment.json": b'{// ours\n"apiVersion": "v1"}',
    "escaped.json": b'{"\\u0061piVersion": "v1", "a": 1, "a": 2}',
    "swagger.json": json.dumps({"apiVersion": "x" * (3 << 20)}).encode(),
    "config.json": b'{"a": 1, "a": 2}',
    "windows.json": '{"apiVersion": "v1"}'.encode("utf-16"),
    "windows-le.json": '{"apiVersion": "v1"}'.encode("utf-16-le") + b"\xff",
    "twice.yaml": b"a: 1\na: 2\n",
    "folded.yaml": b'"api\\\nVersion": v1\na: ' + b"x" * (3 << 20),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_somebody_elses_does_not_fail_a_folder(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """It is told by name; where it is named itself, it is meant."""
    assert given("folder", name, OTHERS[name], capsys, monkeypatch)[::2] == (1, ["APO103"])
    (note,) = json.loads(run(capsys, "lint", ".", "-o", "json")[1])["notes"]
    assert note.startswith(f"not read, and no object of Kubernetes: {name} (")
    assert run(capsys, "plan", "--diff", "main")[0] == 0
    for named in (name, f"./{name}"):
        code, out, _ = run(capsys, "lint", ".", named)
        assert (code, f"{name}:" in out, "1 could not be read" in out) == (2, True, True)
        assert run(capsys, "plan", "--diff", "main", ".", named)[0] == 2
    assert given("stdin", name, OTHERS[name], capsys, monkeypatch)[0] == 2


@pytest.mark.parametrize("name", OURS)
def test_what_may_be_ours_does_until_it_is_left_out(
    repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    code, problems, _ = given("folder", name, OURS[name], capsys, monkeypatch)
    assert (code, [file for file, *_ in problems]) == (2, [name])
    assert run(capsys, "lint", ".", "--exclude", name)[0] == 1, "what else is there is judged"
    assert run(capsys, "plan", "--diff", "main", "--exclude", name)[0] == 0


def test_of_many_a_few_are_named(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(8):
        Path(f"{number}.json").write_text("{")
    (note,) = json.loads(run(capsys, "lint", ".", "-o", "json")[1])["notes"]
    assert (note.count(".json"), "), 3 more; name a file" in note) == (5, True)


@pytest.mark.parametrize("deep", ['{"a": ' * 10_000, "[" * 10_000 + "]" * 10_000, "{", ""])
def test_what_stands_in_a_rendered_config_map_is_bounded_too(deep: str) -> None:
    """Every file of every party with a text that is none of it; nothing of it is a problem of the file."""
    names = (
        "oidc-provider.json", "role-x.json", "config.json", "pool.json", "provider.json", "realm.json", "service.json",
        "policies.json", "openid.env", "identity-x.json", "client-x.json", "trust-x.json", "rule-x.json",
        "user-READER.sql", "service-account-x_at_y.json", "provider-abc.json",
    )  # fmt: skip
    config_map = {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "apostille-access-x"},
        "data": dict.fromkeys(names, deep),
    }  # fmt: skip
    made = report({"cm.json": json.dumps(config_map)})
    assert (made.problems, made.active) == ([], [])


@pytest.fixture(scope="module")
def many() -> Report:
    """Ten thousand findings."""
    each = [allow(f"ns-{i}", ["default"] * 40) for i in range(25)]
    trusts = [raw_trust(f"t{i}", audience=f"https://a{i}.example", allow=each) for i in range(10)]
    made = report({"many.yaml": "---\n".join(json.dumps(trust) + "\n" for trust in trusts)})
    assert len(made.active) == 10_000
    return made


@pytest.mark.parametrize("form", ["text", "json", "yaml", "sarif", "junit", "github"])
def test_ten_thousand_findings_are_all_told_in_every_form(many: Report, form: str) -> None:
    from apostille.cli.lint import _text

    told = _text(many, form, Severity.DENY)
    assert told.count({"text": "APO202 X-SUB-DEFAULT", "github": "title=APO202"}.get(form, "APO202")) >= 10_000
    if form in ("json", "sarif"):
        json.loads(told)
    if form == "yaml":
        assert len(yaml.load(told, yaml.CSafeLoader)["findings"]) == 10_000
    assert len(told) < 10_000 * 1_500


def test_an_argument_that_is_none_is_wrong_usage(repository: Path) -> None:
    """As typed, in a process of its own: bytes that are no name, and a folder that may not be read."""
    command = [sys.executable, "-m", "apostille.cli.main", "lint", b"\xff.yaml"]
    done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    assert (done.returncode, done.stdout, b"Traceback" in done.stderr) == (2, b"", False)
    assert len(done.stderr.splitlines()) == 1
