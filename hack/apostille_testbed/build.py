"""Builds the pinned programs from their Go modules into the cache.

In each folder of ``go/``, ``go.mod`` fixes every module and ``go.sum`` its content. Go's own build cache keeps each
package as soon as it is compiled: a build that was killed goes on where it was.
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
from dataclasses import dataclass
from pathlib import Path

from apostille_testbed import processes
from apostille_testbed.cache import Entry
from apostille_testbed.golang import BuildError, Toolchain, environment, toolchain
from apostille_testbed.pinned import HELM, KUBERNETES
from apostille_testbed.progress import Console, Say, Work, clock, span

__all__ = ["BuildError", "Source", "build", "entry"]

GO = Path(__file__).with_name("go")
"""The folder of all modules."""

MODULE = GO / "kubernetes"
"""The folder of go.mod and go.sum of Kubernetes."""

# Measured on two cores, on the fastest and the slowest machine: a package, and linking.
_PACKAGE_SECONDS = (0.09, 0.22)
_LINK_SECONDS = (5, 20)
_MEASURED_CORES = 2
# Later packages are bigger: half of the packages take 45 % of the time, 30 % take 25 %.
_GROWTH = 1.15
_SAYS_LITTLE = 0.3


@dataclass(frozen=True)
class Source:
    """What a program is built from, and how one knows that it is the right one."""

    module: Path
    """The folder of go.mod and go.sum."""
    package: str
    version: str
    variables: tuple[tuple[str, str], ...]
    """Variables of packages that the linker sets: without its version a program takes itself for a development one."""
    ask: tuple[str, ...]
    """The arguments with which it prints its version."""
    answer: str
    """How the first line of its answer begins."""
    tags: str = ""
    """Build tags, separated by commas."""
    cgo: bool = False
    """Whether parts of it are C, which takes a C compiler."""

    @property
    def ldflags(self) -> str:
        """Flags for the linker."""
        return " ".join(["-s", "-w", *(f"-X {variable}={value}" for variable, value in self.variables)])


def build(name: str, say: Say | None = None, of: Source | None = None) -> Path:
    """The program ``name`` from the cache, with its sum checked; built first where it is missing or damaged.

    Args:
        name: what the program is called.
        say: takes lines of progress; default: standard error.
        of: what it is built from; default: `source` of its name.

    Raises:
        BuildError: Go failed; what it had compiled is kept for the next try.
    """
    report = say or Console()
    of = of or source(name)
    go = _toolchain(of, report)
    return entry(name, go, of).make(lambda work: _build(name, of, go, work, report), report) / name


def entry(name: str, go: Toolchain | None = None, of: Source | None = None) -> Entry:
    """The cache entry of a program: its key is everything that decides what is built."""
    of = of or source(name)
    go = go or _toolchain(of, lambda _: None)
    return Entry(
        name,
        {
            "program": name,
            "version": of.version,
            "go.mod": (of.module / "go.mod").read_text(),
            "go.sum": (of.module / "go.sum").read_text(),
            "ldflags": of.ldflags,
            "go": go.series,
            "platform": f"{sys.platform}/{platform.machine()}",
        }
        | ({"tags": of.tags} if of.tags else {})
        | ({"cgo": "1"} if of.cgo else {}),
        # Two programs of a module share most packages: built one after the other, the second finds them.
        lock=of.module.name,
    )


def source(name: str) -> Source:
    """What the program ``name`` of `pinned.PROGRAMS`, or ``helm``, is built from."""
    if name == "helm":
        return _helm()
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    variables = {}
    for package in ("k8s.io/client-go/pkg/version", "k8s.io/component-base/version"):
        variables[f"{package}.gitVersion"] = KUBERNETES
        variables[f"{package}.gitMajor"], variables[f"{package}.gitMinor"] = major, minor
    return Source(
        module=MODULE,
        package=f"k8s.io/kubernetes/cmd/{name}",
        version=KUBERNETES,
        variables=tuple(variables.items()),
        ask=("--version",),
        answer=f"Kubernetes {KUBERNETES}",
    )


def _helm() -> Source:
    major, minor, _ = KUBERNETES.removeprefix("v").split(".")
    # What `helm template` and `helm lint` take for the cluster's version.
    assumed = [
        (f"helm.sh/helm/v3/pkg/{package}.k8sVersion{part}", number)
        for package in ("lint/rules", "chartutil")
        for part, number in (("Major", major), ("Minor", minor))
    ]
    return Source(
        module=GO / "helm",
        package="helm.sh/helm/v3/cmd/helm",
        version=HELM,
        variables=(("helm.sh/helm/v3/internal/version.version", HELM), *assumed),
        ask=("version", "--template={{.Version}}"),
        answer=HELM,
    )


def _toolchain(of: Source, say: Say) -> Toolchain:
    match = re.search(r"^go (\S+)$", (of.module / "go.mod").read_text(), re.MULTILINE)
    assert match is not None, "go.mod has no go directive"
    return toolchain(match[1], say)


def _build(name: str, of: Source, go: Toolchain, work: Path, say: Say) -> None:
    program = go.program(say)
    say(f"{name} {of.version}: building with Go {go.version} ({program})")
    module = work / "source"
    shutil.copytree(of.module, module)
    flags = ["-mod=readonly", "-trimpath", f"-ldflags={of.ldflags}"] + ([f"-tags={of.tags}"] if of.tags else [])

    resolving = Work(say, name)
    listing = _run(
        "resolve",
        [program, "list", *flags, "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", of.package],
        work,
        of.cgo,
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
        [program, "build", "-v", *flags, "-o", work / name, of.package],
        work,
        of.cgo,
        lambda log: compiling.tick(lambda: _progress(log, stale, compiling.elapsed, usually)),
    )
    _check(name, of, work / name)
    shutil.rmtree(module)
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


def _run(phase: str, argv: list[str | Path], work: Path, cgo: bool, tick: Callable[[Path], None]) -> str:
    running = processes.start(phase, argv, work, env=environment(cgo), cwd=work / "source")
    try:
        while running.running:
            tick(running.log)
            time.sleep(0.1)
        if running.returncode != 0:
            raise BuildError(f"{' '.join(map(str, argv[:2]))} failed:\n{running.tail(30)}")
        return running.log.read_text()
    finally:
        running.kill()


def _check(name: str, of: Source, program: Path) -> None:
    if (found := told(program, *of.ask)) is None or not found.startswith(of.answer):
        raise BuildError(f"{name} calls itself {found!r}, not {of.answer!r}")


def told(program: str | Path, *arguments: str) -> str | None:
    """The first line that a program prints; None where it prints nothing or cannot be run."""
    try:
        done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return next(iter(done.stdout.splitlines()), None)
