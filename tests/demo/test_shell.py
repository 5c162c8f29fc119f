"""The command on the page is the command that is run, and what it must show is checked."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from apostille_demo.page import Page
from apostille_demo.shell import Shell, StepFailed


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def shell(out: io.StringIO, tmp_path: Path) -> Shell:
    return Shell(Page(out), tmp_path, {"PATH": "/usr/bin:/bin", "KUBECONFIG": "/k"})


def test_shows_command_and_output_of_its_folder_and_environment(shell: Shell, out: io.StringIO, tmp_path: Path) -> None:
    text = shell.show("echo $KUBECONFIG; pwd; echo loud >&2", shows="^loud$")

    assert text == f"/k\n{tmp_path}\nloud\n"
    assert out.getvalue() == f"\n  $ echo $KUBECONFIG; pwd; echo loud >&2\n  /k\n  {tmp_path}\n  loud\n"


def test_what_is_left_out_is_marked(shell: Shell, out: io.StringIO) -> None:
    shell.show("seq 1 9", only="^[147]$")

    assert out.getvalue().splitlines()[2:] == ["  1", "  …", "  4", "  …", "  7", "  …"]


def test_tries_again_until_it_shows(shell: Shell, out: io.StringIO) -> None:
    shell.show("echo x >> tries; wc -l < tries", shows="^3$", within=30)

    assert out.getvalue().splitlines()[2:] == ["  3"]


@pytest.mark.parametrize(
    ("command", "fails", "expected"),
    [
        ("echo no", False, "success with 'yes'"),
        ("echo yes; exit 1", False, "success with 'yes'"),
        ("echo yes", True, "a refusal with 'yes'"),
        ("echo no; exit 1", True, "a refusal with 'yes'"),
    ],
)
def test_says_what_it_saw_and_expected(shell: Shell, command: str, fails: bool, expected: str) -> None:
    with pytest.raises(StepFailed) as failed:
        shell.show(command, shows="yes", fails=fails)

    assert failed.value.ran == command
    assert failed.value.saw.strip() in ("yes", "no")
    assert failed.value.expected == expected


def test_never_shows_a_token(shell: Shell, out: io.StringIO) -> None:
    with pytest.raises(StepFailed) as failed:
        shell.show("echo eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl", fails=True)
    shell.show("echo eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2lnbmF0dXJl")

    assert failed.value.saw == "(a token, not shown)\n"
    assert out.getvalue().splitlines()[-1] == "  (a token, not shown)"
