"""Builds the pinned Kubernetes programs from their Go modules into the cache.

``go/kubernetes/go.mod`` fixes every module and ``go.sum`` its content. Go's own build cache keeps each package as soon
as it is compiled: a build that was killed goes on where it was.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from apostille_testbed import processes
from apostille_testbed.binaries import KUBERNETES
from apostille_testbed.cache import Entry
from apostille_testbed.golang import BuildError, Toolchain, environment, toolchain
from apostille_testbed.progress import Console, Say, Work, clock, span

__all__ = ["BuildError", "build", "entry"]

MODULE = Path(__file__).with_name("go") / "kubernetes"
"""The folder of go.mod and go.sum."""

# Measured on two cores, on the fastest and the slowest machine: a package, and linking.
_PACKAGE_SECONDS = (0.09, 0.22)
_LINK_SECONDS = (5, 20)
_MEASURED_CORES = 2
# Later packages are bigger: half of the packages take 45 % of the time, 30 % take 25 %.
_GROWTH = 1.15
_SAYS_LITTLE = 0.3


def build(name: str, say: Say | None = None) -> Path:
    """The program ``name`` from the cache, with its sum checked; built first where it is missing or damaged.

    Args:
        name: ``kube-apiserver`` or ``kube-controller-manager``.
        say: takes lines of progress; default: standard error.

    Raises:
        BuildError: Go failed; what it had compiled is kept for the next try.
    """
    report = say or Console()
    go = _toolchain(report)
    return entry(name, go).make(lambda work: _build(name, go, work, report), report) / name


def entry(name: str, go: Toolchain | None = None) -> Entry:
    """The cache entry of a program: its key is everything that decides what is built."""
    go = go or _toolchain(lambda _: None)
    return Entry(
        name,
        {
            "program": name,
            "version": KUBERNETES,
            "go.mod": (MODULE / "go.mod").read_text(),
            "go.sum": (MODULE / "go.sum").read_text(),
            "ldflags": _ldflags(),
            "go": go.series,
            "platform": f"{sys.platform}/{platform.machine()}",
        },
        # Two programs share most packages: built one after the other, the second finds them.
        lock="kubernetes",
    )


def _toolchain(say: Say) -> Toolchain:
    match = re.search(r"^go (\S+)$", (MODULE / "go.mod").read_text(), re.MULTILINE)
    assert match is not None, "go.mod has no go directive"
    return toolchain(match[1], say)


def _ldflags() -> str:
    # Without its version the server calls itself v0.0.0-master, and clients believe that it can do nothing.
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    flags = ["-s", "-w"]
    for package in ("k8s.io/client-go/pkg/version", "k8s.io/component-base/version"):
        flags += [f"-X {package}.gitVersion={KUBERNETES}"]
        flags += [f"-X {package}.gitMajor={major}", f"-X {package}.gitMinor={minor}"]
    return " ".join(flags)


def _build(name: str, go: Toolchain, work: Path, say: Say) -> None:
    program = go.program(say)
    say(f"{name} {KUBERNETES}: building with Go {go.version} ({program})")
    source = work / "source"
    shutil.copytree(MODULE, source)
    flags = ["-mod=readonly", "-trimpath", f"-ldflags={_ldflags()}"]
    package = f"k8s.io/kubernetes/cmd/{name}"

    resolving = Work(say, name)
    listing = _run(
        "resolve",
        [program, "list", *flags, "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", package],
        work,
        lambda _: resolving.tick(lambda: f"fetching modules, {clock(resolving.elapsed)} elapsed, usually 10–60 s"),
    )
    # Besides packages, Go writes what it downloads.
    stale = sum(1 for line in listing.splitlines() if line and " " not in line)

    compiling = Work(say, name)
    cores = len(os.sched_getaffinity(0))
    low, high = (seconds * stale * _MEASURED_CORES / cores for seconds in _PACKAGE_SECONDS)
    usually = span(low + _LINK_SECONDS[0], high + _LINK_SECONDS[1])
    if stale > 1:
        say(f"{name}: compiling {stale:,} packages, usually {usually} on {cores} cores")
    _run(
        "compile",
        [program, "build", "-v", *flags, "-o", work / name, package],
        work,
        lambda log: compiling.tick(lambda: _progress(log, stale, compiling.elapsed, usually)),
    )
    _check(name, work / name)
    shutil.rmtree(source)
    for file in work.glob("*.log"):
        file.unlink()
    compiling.done(f"built in {clock(resolving.elapsed)}")


def _progress(log: Path, stale: int, elapsed: float, usually: str) -> str:
    compiled = sum(1 for line in log.read_text().splitlines() if line and " " not in line)
    if compiled >= stale:
        return f"linking, {clock(elapsed)} elapsed"
    text = f"compiling, {compiled:,} of {stale:,} packages, {clock(elapsed)} elapsed"
    if compiled < stale * _SAYS_LITTLE:
        return f"{text}, usually {usually}"
    done = (compiled / stale) ** _GROWTH
    return f"{text}, about {clock(max(_LINK_SECONDS[0], elapsed * (1 - done) / done))} left"


def _run(phase: str, argv: list[str | Path], work: Path, tick: Callable[[Path], None]) -> str:
    running = processes.start(phase, argv, work, env=environment(), cwd=work / "source")
    try:
        while running.running:
            tick(running.log)
            time.sleep(0.1)
        if running.returncode != 0:
            raise BuildError(f"{' '.join(map(str, argv[:2]))} failed:\n{running.tail(30)}")
        return running.log.read_text()
    finally:
        running.kill()


def _check(name: str, program: Path) -> None:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    if done.stdout.strip() != f"Kubernetes {KUBERNETES}":
        raise BuildError(f"{name} calls itself {done.stdout.strip()!r}, not {KUBERNETES}")
