"""The demo on a real node, as a newcomer runs it: what it shows, that it stays, and that nothing of it is left."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apostille_testbed.cache import cache_folder
from apostille_testbed.node import lacking
from demo.test_demo import ROOT, Demo, until

pytestmark = [pytest.mark.e2e, pytest.mark.integration, pytest.mark.xdist_group("node"), pytest.mark.timeout(900)]

# What must be on the page, in this order; every run of white space is one blank there, since prose is wrapped.
SHOWN = (
    r"everything runs after \d+ s",
    r"helm install apostille charts/apostille .*? STATUS: deployed",
    r"apostille-admission-\S+ 1/1 Running .*? apostille-controller-\S+ 1/1 Running",
    r"federationtrust.apostille.dev/minio created federationtrust.apostille.dev/vault created",
    r"minio MinIO https://minio.test:9000 Enforce .*? True Ready",
    r"vault Vault https://vault.test/v1/auth/jwt Enforce .*? True Ready",
    r"database vault role/payments .*? True Ready",
    r"ledger minio policy/ledger-reader .*? True Ready",
    r'"bound_subject": "system:serviceaccount:payments:teller"',
    r"job.batch/reader condition met",
    r"10800 2026/10.csv 28800 2026/11.csv",
    r"teller 2/2 Running 0 ",
    r"/var/run/apostille.dev/database/token is there Vault's secret `payments` has \w+, \w+",
    r"ls: cannot access '/var/run/secrets/apostille.dev': No such file or directory",
    r"no live WorkloadBinding grants service account default",
    r"\| wc -c \d{3,} ",
    r'"database" deleted',
    r"/var/run/apostille.dev/database/token is gone",
    r'"result": ?"Revoked"',
    r"no live WorkloadBinding grants service account teller",
    r"Vault's jwt has a role for nobody",
    r"teller 2/2 Running 0 .*? ledger .*? True",
    r"What just happened( - .+?){4} Three things to try",
    r"It took \d+ s, and stays up for 30 minutes",
)


CEILING = 600.0
"""Seconds until a command must have ended: it may wait for another node of this machine."""


class RealDemo(Demo):
    """All of its commands are of the demo on a node, with the containers' store of the real cache."""

    def __init__(self, cache: Path) -> None:
        super().__init__(cache)
        (cache / "node").symlink_to(cache_folder() / "node")

    def __call__(self, *arguments: str, code: int = 0) -> str:
        running = self.start(*arguments)
        text, _ = running.communicate(timeout=CEILING)
        assert running.returncode == code, text
        return text

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return super().start(*arguments, "--node")

    def shell(self, script: str) -> str:
        done = subprocess.run(
            ["sh", "-ec", f'eval "$(hack/demo env --node)"\n{script}'],
            cwd=ROOT, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        return done.stdout

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.cache / "run/demo-node/state.json").read_text())
        return found


@pytest.fixture
def demo() -> Iterator[RealDemo]:
    if reasons := lacking():
        required = "node" in os.environ.get("APOSTILLE_REQUIRE", "").split(",")
        (pytest.fail if required else pytest.skip)("no node on this machine: " + "; ".join(reasons))
    # A short path: the kubelet has sockets below it, whose names are limited to 107 bytes.
    cache = Path(tempfile.mkdtemp(prefix="demo-"))
    running = RealDemo(cache)
    yield running
    for process in running.foregrounds:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    running("down")
    until(running.gone, "nothing is left")
    for process in running.foregrounds:
        if process.stdout and not process.stdout.closed:
            process.communicate()
    shutil.rmtree(cache)


def test_the_story_is_told_twice_with_real_output_after_a_killed_run_too(demo: RealDemo) -> None:
    page = demo("up")

    words, position = " ".join(page.split()), 0
    for pattern in SHOWN:
        match = re.compile(pattern).search(words, position)
        assert match, f"{pattern!r} is not where it should be in:\n{page}"
        position = match.end()
    assert not re.search(r"eyJ[\w-]{20,}|hvs\.[\w-]{10,}", page)
    too_wide = [line for line in page.splitlines() if len(line) > 100 and str(demo.cache) not in line]
    assert too_wide == []
    assert "The demo is up already, for another 30 minutes." in demo("up")

    things = page[page.index("Three things to try") : page.index("It took ")]
    first, second, third = (
        "\n".join(line.strip() for line in part.splitlines()[1:] if line.strip())
        for part in re.split(r"\n\n  \d\. ", things)[1:]
    )
    tried = demo.shell(first)
    until(lambda: demo.shell("kubectl logs teller -n payments -c teller").count("is there") == 2, tried)
    assert "apostille-exchange" in demo.shell(second)
    assert "apostille" in demo.shell(third)

    os.kill(demo.state["owner"]["pid"], signal.SIGKILL)
    until(lambda: not demo.processes(), "the node with all its pods ends with its guardian")

    again = demo("up")

    assert "cleared demo-node, which a killed run left" in again
    assert "stays up for" in again

    left = demo("down")

    assert 'release "apostille" uninstalled' in left
    assert "Nothing: no webhook and no policy stays that could refuse a pod." in left
    assert left.endswith("demo-node is down, and everything of it is removed\n")
    until(demo.gone, "nothing is left")
