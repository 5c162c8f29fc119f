"""The command line: what it offers, and how it fails: one line that says why, and an exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from apostille.cli import render
from apostille.parties.party import FORMATS

KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:9"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "apostille.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def kubeconfig(tmp_path: Path) -> str:
    """Of a server that is not there."""
    path = tmp_path / "kubeconfig"
    path.write_text(KUBECONFIG)
    return str(path)


def test_help_lists_every_command_with_a_summary() -> None:
    shown = " ".join(run("--help").stdout.split())
    for command in ("controller Runs", "admission Serves", "render Prints", "explain Says", "doctor Examines"):
        assert f" {command} " in shown


@pytest.mark.parametrize("command", ["controller", "admission", "render", "explain", "doctor"])
def test_every_option_has_its_help(command: str) -> None:
    done = run(command, "--help")
    assert done.returncode == 0
    assert "--kubeconfig" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [[], ["rendr"], ["render"], ["admission", "--port=x"], ["controller", "--ca-bundle=x"], ["explain", "x"]],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ")


def failure(*arguments: str) -> str:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    return line


def test_a_server_that_is_not_there_is_said_in_one_line(kubeconfig: str) -> None:
    line = failure("render", "aws-prod", "--kubeconfig", kubeconfig)
    assert line.startswith("apostille: ")
    assert "the API server did not answer" in line


def test_a_missing_kubeconfig_is_said_in_one_line(tmp_path: Path) -> None:
    assert failure("render", "aws-prod", "--kubeconfig", str(tmp_path / "none")).startswith(
        "apostille: no cluster found"
    )


def test_a_certificate_that_cannot_be_read_is_named(kubeconfig: str, tmp_path: Path) -> None:
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    arguments = ["admission", f"--certificate={certificate}", f"--key={key}", f"--kubeconfig={kubeconfig}"]
    missing = failure(*arguments)
    for path in (certificate, key):
        path.write_text("no PEM\n")
    broken = failure(*arguments)

    for line in (missing, broken):
        assert line.startswith(f"apostille: certificate {certificate} with key {key}: ")


def test_half_a_certificate_is_refused(tmp_path: Path, kubeconfig: str) -> None:
    line = failure("admission", f"--certificate={tmp_path}/tls.crt", f"--kubeconfig={kubeconfig}")
    assert line == "apostille: --certificate and --key go together"


def test_render_takes_every_form_that_parties_have() -> None:
    assert (*FORMATS, "json") == render.FORMS
