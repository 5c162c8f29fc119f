"""The whole demo, as a newcomer runs it: what it shows, that it stays, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from apostille_testbed.cache import cache_folder
from apostille_testbed.pods import detect

ROOT = Path(__file__).parents[2]
CEILING = 180.0  # seconds until a poll gives up

pytestmark = [pytest.mark.e2e, pytest.mark.integration]

# What must be on the page, in this order; every run of white space is one blank there, since prose is wrapped.
SHOWN = (
    r"everything runs after \d+ s",
    r"federationtrust.apostille.dev/aws-prod condition met",
    r"NAME PARTY AUDIENCE .*? READY REASON AGE aws-prod AWS https://aws-prod.sts.example .*? True Ready",
    r"s3-reader aws-prod role/payments-reader .*? True Ready",
    r'demo.issuer.example:aud":"https://aws-prod.sts.example" '
    r'"demo.issuer.example:sub":"system:serviceaccount:payments:reader"',
    r"IAM now holds oidc-provider, role-payments-reader, role-payments-reporter",
    r"\+ - name: AWS_WEB_IDENTITY_TOKEN_FILE \+ value: /var/run/secrets/apostille.dev/s3-reader/token",
    r"\+ audience: https://aws-prod.sts.example \+ expirationSeconds: 3600",
    r"I am arn:aws:sts::123456789012:assumed-role/payments-reader/payments.s3-reader .*?2026/10/acme.pdf",
    r"AssumeRoleWithWebIdentity OK role/payments-reader .*?sub system:serviceaccount:payments:reader ",
    r"\+ initContainers: \+ - name: apostille-exchange",
    r"/var/run/apostille.dev/s3-files/credentials is there "
    r"I am arn:aws:sts::123456789012:assumed-role/payments-reporter/payments.s3-files invoices holds 2 objects",
    r"spec.audience: 'https://\*.sts.example' contains",
    r"'https://kubernetes.default.svc' is an audience of this cluster's own API server",
    r"pod/batch created",
    r"grep -c apostille.dev 0 ",
    r"Not one call more",
    r"no live WorkloadBinding grants service account batch",
    r"\| wc -c \d{3,} ",
    r'"s3-files" deleted',
    r"/var/run/apostille.dev/s3-files/credentials is gone boto3: ",
    r"no live WorkloadBinding grants service account reporter",
    r"IAM now holds oidc-provider, role-payments-reader ",
    r"What just happened( - .+?){5} Three things to try",
    r"It took \d+ s, and stays up for \d+ minutes",
)


class Demo:
    """Runs ``hack/demo`` over a cache of its own: the programs of the real one, none of its instances."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.foregrounds: list[subprocess.Popen[str]] = []
        for entry in cache_folder().iterdir():
            if entry.name.startswith("venv-") or entry.name in ("built", "uv"):
                (cache / entry.name).symlink_to(entry)
        self.environment = {**os.environ, "APOSTILLE_CACHE": str(cache)}

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What it wrote; asserts the exit code."""
        running = self.start(*arguments)
        text, _ = running.communicate(timeout=CEILING)
        assert running.returncode == code, text
        return text

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The same without waiting, in a process group of its own, as at a terminal."""
        running = subprocess.Popen(
            [ROOT / "hack/demo", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
            # What a shell starts in the background ignores Ctrl-C, and so would what it starts in turn.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self.foregrounds.append(running)
        return running

    def started(self) -> subprocess.Popen[str]:
        """``up`` that is at its first step."""
        running = self.start("up")
        assert running.stdout is not None
        for line in running.stdout:
            if "everything runs" in line:
                return running
        pytest.fail("it did not start")

    def shell(self, script: str) -> str:
        """What a reader sees who types this after ``eval "$(hack/demo env)"``."""
        done = subprocess.run(
            ["sh", "-ec", f'eval "$(hack/demo env)"\n{script}'],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.stdout

    @property
    def state(self) -> dict[str, Any]:
        """What the running demo has published."""
        found: dict[str, Any] = json.loads((self.cache / "run/demo/state.json").read_text())
        return found

    def processes(self) -> dict[int, str]:
        """All processes that have to do with this cache: id to command line."""
        mark = os.fsencode(self.cache)
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    line = (entry / "cmdline").read_bytes()
                    if mark in line or mark in (entry / "environ").read_bytes():
                        found[int(entry.name)] = line.replace(b"\0", b" ").decode(errors="replace")
                except OSError:
                    continue
        return found

    def gone(self) -> bool:
        """Whether nothing of any demo is left."""
        runs = self.cache / "run"
        left = [entry.name for entry in runs.iterdir() if entry.name != ".lock"]
        return not left and not self.processes() and not (self.cache / "demo-logs").exists()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    cache = tmp_path / "cache"
    cache.mkdir()
    running = Demo(cache)
    yield running
    for process in running.foregrounds:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    running("down")
    until(running.gone, "nothing is left")
    for process in running.foregrounds:
        if process.stdout and not process.stdout.closed:
            process.communicate()


def group(pid: int) -> int | None:
    """Its process group; None: it is gone."""
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def until(holds: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + CEILING
    while not holds():
        assert time.monotonic() < give_up, what
        time.sleep(0.1)


def test_the_story_is_told_with_real_output_and_can_be_tried(demo: Demo) -> None:
    found = asyncio.run(detect())
    assert found.namespaces, f"the whole story needs pods with namespaces of their own: {found.message}"
    page = demo("up")

    words, position = " ".join(page.split()), 0
    for pattern in SHOWN:
        match = re.compile(pattern).search(words, position)
        assert match, f"{pattern!r} is not where it should be in:\n{page}"
        position = match.end()
    before, after = re.findall(r"metrics \| grep .*\n((?:  apostille_admission_requests_total.*\n)+)", page)
    assert before == after
    assert "mutate" in before
    assert not re.search(r"eyJ[\w-]{20,}", page)
    things = page[page.index("Three things to try") : page.index("It took ")]
    too_wide = [line for line in page.splitlines() if len(line) > 100 and str(demo.cache) not in line]
    assert too_wide == []

    assert "The demo is up already, for another 30 minutes." in demo("up")

    first, second, third = (
        "\n".join(line.strip() for line in part.splitlines()[1:] if line.strip())
        for part in re.split(r"\n\n  \d\. ", things)[1:]
    )
    assert "20-bindings.yaml" in first
    tried = demo.shell(first)
    until(lambda: demo.shell("kubectl logs report -c report -n payments").count("is there") == 2, tried)
    assert "suspended" in second
    tried = demo.shell(second)
    until(lambda: demo.shell("kubectl get wbind -n payments").count("Suspended") == 2, tried)
    until(lambda: demo.shell("kubectl logs report -c report -n payments").count("is gone") == 2, "dropped again")
    assert re.search(r"audience\s+<string>", demo.shell(third))

    assert demo("down") == "demo is down, and everything of it is removed\n"
    until(demo.gone, "nothing is left")
    assert demo("down") == "demo does not run\n"


def test_after_a_kill_the_next_run_cleans_up_tells_what_it_leaves_out_and_stops_by_itself(demo: Demo) -> None:
    """On a machine without namespaces, as there are some."""
    killed = demo.started()
    os.killpg(killed.pid, signal.SIGSTOP)  # so that only the guardian dies
    os.kill(demo.state["owner"]["pid"], signal.SIGKILL)
    until(lambda: all(group(pid) in (None, killed.pid) for pid in demo.processes()), "what it started ends with it")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert (demo.cache / "run/demo/state.json").exists()

    page = demo("up", "--no-isolation", "--minutes=0.02")

    assert "cleared demo, which a killed run left" in page
    assert "NO namespaces on this machine (switched off)" in page
    assert page.count("Left out on this machine: the sidecar") == 2
    assert "no live WorkloadBinding grants service account reader" in page
    until(demo.gone, "it stopped by itself")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill-9"])
def test_nothing_is_left_when_the_story_is_interrupted(demo: Demo, how: signal.Signals) -> None:
    running = demo.started()
    # Held where it is meanwhile: on a slow machine the story would be over before the other has asked.
    os.killpg(running.pid, signal.SIGSTOP)
    assert "demo is being told just now" in demo("up", code=1)

    os.killpg(running.pid, how)
    os.killpg(running.pid, signal.SIGCONT)
    rest, _ = running.communicate(timeout=CEILING)

    assert running.returncode in (130, -how)
    assert ("stopped and removed everything" in rest) == (how is signal.SIGINT)
    until(demo.gone, "nothing is left")


def test_a_step_that_fails_is_named_with_what_it_saw_and_where_the_logs_are(demo: Demo) -> None:
    running = demo.started()
    os.kill(demo.state["processes"]["apiserver"], signal.SIGKILL)

    page, _ = running.communicate(timeout=CEILING)

    assert running.returncode == 1
    assert re.search(r"Failed at step 1\. Two teams declare what they want\n  ran:       kubectl ", page)
    assert "  expected:  success" in page
    assert "127.0.0.1" in page[page.index("  saw:") :]
    kept = demo.cache / "demo-logs/demo"
    assert f"logs:      {kept}" in page
    assert {"apiserver.log", "controller.log", "admission.log", "guardian.log"} <= {p.name for p in kept.iterdir()}
    until(lambda: not demo.processes(), "everything but the logs is gone")


def test_a_start_that_fails_says_why(demo: Demo) -> None:
    taken = demo.cache / "ports"
    taken.write_text("a file where a folder should be")

    page = demo("up", code=1)

    assert "Failed while starting." in page
    assert str(taken) in page
    taken.unlink()


def test_mistakes_are_told(demo: Demo) -> None:
    assert "demo does not run; start it: hack/demo up" in demo("env", code=1)
    assert "other does not run; start it: hack/demo up --id other" in demo("log", "aws", "--id=other", code=1)
    assert "'Wrong' is not a DNS label" in demo("up", "--id=Wrong", code=1)
    (demo.cache / "run").mkdir(exist_ok=True)
