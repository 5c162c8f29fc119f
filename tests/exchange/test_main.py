"""The command line: usage, the startup probe, and what the program may import."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from apostille_exchange.deliver.stamp import Stamp
from apostille_exchange.main import main
from apostille_exchange.proxy import Proxy
from apostille_exchange.recipe import dumps_admission, run_arguments
from exchange.scene import PodFiles

OPERATOR = Path(__file__).parents[2] / "operator"
MODULES = sorted(
    ".".join(path.relative_to(OPERATOR).with_suffix("").parts).removesuffix(".__init__")
    for path in (OPERATOR / "apostille_exchange").rglob("*.py")
    if path.name != "__main__.py"
)


def exit_code(arguments: Sequence[str]) -> int:
    """What the program exits with."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"], ["run", "--help"], ["ready", "-h"]])
def test_help_tells_both_commands(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(arguments) == 0
    shown = capsys.readouterr().out
    assert "apostille-exchange run --plan FILE" in shown
    assert "apostille-exchange ready PATH" in shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda words: [], "no command given"),
        (lambda words: ["serve"], "'serve' is not a command"),
        (lambda words: ["ready"], "no PATH"),
        (lambda words: ["run"], "one --plan"),
        (lambda words: words[:3], "at least one --admission"),
        (lambda words: [*words, "--plan=/x"], "one --plan"),
        (lambda words: [*words, "--endpoint=https://x/"], "'--endpoint' is not an option"),
        (lambda words: [*words, "--proxy=proxy.example"], "--proxy: 'proxy.example' is not HOST:PORT"),
        (lambda words: [*words, "--proxy=https://proxy.example:1"], "is not HOST:PORT"),
        (lambda words: [*words, "--proxy=a:1", "--proxy=b:1"], "--proxy at most once"),
        (lambda words: [*words, "--admission"], "--admission needs a value"),
        (lambda words: [*words, "--admission={"], "admission: not JSON"),
        (lambda words: [*words, "--admission={}"], "admission.outputs: must be a list"),
        (lambda words: [*words, words[-1]], "same binding or output path"),
        (lambda words: [words[0], words[1], words[2], words[3].replace('"/', '"./')], "absolute"),
    ],
)
def test_wrong_usage_is_said_in_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    change: object,
    message: str,
) -> None:
    words = run_arguments([PodFiles(tmp_path).admission()], str(tmp_path / "plan"))
    assert callable(change)
    assert exit_code(change(words)) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1


def test_both_spellings_of_an_option_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from apostille_exchange import run

    admission = PodFiles(tmp_path).admission()
    seen = []
    monkeypatch.setattr(run, "run", lambda plan, admissions, *more: seen.append((plan, admissions, *more)) or 0)
    assert exit_code(["run", "--plan=/p=q", "--admission", dumps_admission(admission)]) == 0
    assert exit_code(run_arguments([admission], "/p=q")) == 0
    assert exit_code(run_arguments([admission], "/p", "--state=/s", "--metrics-port=9")) == 0
    assert exit_code(run_arguments([admission], "/p", "--once")) == 0
    behind = ("--proxy=[fd00::1]:3128", "--direct=.svc", "--direct=10.0.0.0/8")
    assert exit_code(run_arguments([admission], "/p", *behind)) == 0
    assert seen == [
        *[("/p=q", [admission], "", 0, (), False, None)] * 2, ("/p", [admission], "/s", 9, (), False, None),
        ("/p", [admission], "", 0, (), True, None),
        ("/p", [admission], "", 0, (), False, Proxy("fd00::1", 3128, (".svc", "10.0.0.0/8"))),
    ]  # fmt: skip


def test_ready_when_every_file_holds_a_credential_that_has_not_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = time.time()
    paths = {name: str(tmp_path / name) for name in ("good", "ended", "other", "none")}
    Path(paths["good"]).write_text(f"# {Stamp(now - 60, now + 3600, 'x')}\n")
    Path(paths["ended"]).write_text(f"# {Stamp(now - 60, now - 1, 'x')}\n")
    Path(paths["other"]).write_text("[default]\n")
    assert exit_code(["ready", paths["good"]]) == 0
    assert capsys.readouterr() == ("", "")
    for bad, why in (
        ("ended", "the credential has ended"),
        ("other", "no credential yet"),
        ("none", "no credential yet"),
    ):
        assert exit_code(["ready", paths["good"], paths[bad]]) == 1
        assert capsys.readouterr().err == f"{paths[bad]}: {why}\n"


def test_nothing_but_the_standard_library_is_imported() -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(OPERATOR)!r})\n"
        f"import importlib\n"
        f"for module in {MODULES!r}: importlib.import_module(module)\n"
        "names = {name.partition('.')[0] for name in sys.modules} - {'__main__', 'apostille_exchange'}\n"
        "print(*sorted(names - sys.stdlib_module_names))\n"
    )
    assert len(MODULES) > 20
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.split() == []


def test_a_running_sidecar_carries_no_module_it_can_do_without(tmp_path: Path) -> None:
    heavy = ("typing", "http.client", "urllib.parse", "email", "logging", "argparse", "asyncio", "subprocess", "random")
    script = (
        f"import sys; sys.path.insert(0, {str(OPERATOR)!r})\n"
        "import apostille_exchange.main, apostille_exchange.run\n"
        "from apostille_exchange import grants, instants\nfrom apostille_exchange.deliver import formats\n"
        "from apostille_exchange.recipe import Output\n"
        "grant = grants.load('AWSWebIdentity'); formats.load(Output('/x', 'aws-credentials'), grant.yields)\n"
        "instants.seconds('2026-01-01T00:00:00Z')\n"
        f"print(*(name for name in {heavy!r} if name in sys.modules))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.split() == []


def test_the_probe_does_not_load_what_only_the_sidecar_needs(tmp_path: Path) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(OPERATOR)!r})\n"
        "from apostille_exchange.main import main\n"
        "try: main(['ready', '/none'])\n"
        "except SystemExit as ended: print(ended.code, *(name for name in ('ssl', 'json') if name in sys.modules))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.split() == ["1"]
