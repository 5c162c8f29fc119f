"""What scripts of a vendor's command line do where a command fails."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from apostille.parties import shell


@pytest.mark.parametrize(("succeeds_at", "code", "runs", "pauses"), [(1, 0, 1, 0), (3, 0, 3, 2), (4, 1, 3, 2)])
def test_what_is_insisted_on_is_run_until_it_succeeds(
    tmp_path: Path, succeeds_at: int, code: int, runs: int, pauses: int
) -> None:
    restart = tmp_path / "restart"
    restart.write_text(f'#!/bin/sh\necho run >>log\n[ "$(grep -c run log)" -ge {succeeds_at} ]\n')
    sleep = tmp_path / "sleep"
    sleep.write_text('#!/bin/sh\necho "pause $1" >>log\n')
    for program in (restart, sleep):
        program.chmod(0o755)
    script = shell.script("Restarts.", shell.insist(("restart",), times=3, pause=5))[shell.FILE]
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert subprocess.run(["/bin/sh", "-c", script], env=environment, cwd=tmp_path, check=False).returncode == code
    log = (tmp_path / "log").read_text().splitlines()
    assert (log.count("run"), log.count("pause 5")) == (runs, pauses)
