"""Apostille's images for the node: the repository's Dockerfile over a base of Debian's packages. No registry.

They are kept by content: the same sources are the same archive, and changed ones build upon the layers before.
"""

from __future__ import annotations

import configparser
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from apostille_testbed import processes
from apostille_testbed.cache import Entry, cache_folder
from apostille_testbed.golang import BuildError
from apostille_testbed.node import archive, packages
from apostille_testbed.progress import Say, Work, clock

ROOT = Path(__file__).parents[3]
"""The repository."""

APOSTILLE = "localhost/apostille:dev"
EXCHANGE = "localhost/apostille-exchange:dev"

_TARGETS = {"apostille": APOSTILLE, "apostille-exchange": EXCHANGE}
_CONTEXT = ("Dockerfile", ".dockerignore", "locks/runtime.txt")
_KEPT = 3
"""How many builds stay in the cache: one of them is a few hundred megabytes."""

_SUITE = "bookworm"
_INCLUDED = ("ca-certificates", "python3", "python3-pip", "python3-venv")
# What only people read.
_LEFT_OUT = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/lib/apt/lists", "var/cache")


@dataclass(frozen=True)
class Images:
    """Archives in the docker-archive format."""

    apostille: Path
    """Controller, admission server and command line, named `APOSTILLE`."""
    exchange: Path
    """The sidecar, named `EXCHANGE`."""


def images(say: Say) -> Images:
    """Apostille's images from the cache; builds them where the sources are new. Needs root. Raises BuildError."""
    packages.require(packages.BUILD, say)
    base = _base(say)
    entry = Entry("images", {"base": base.name, **_sources(), "architecture": archive.architecture()}, lock="images")
    folder = entry.make(lambda work: _build(work, base / "base.tar", say), say)
    _forget_old(entry)
    return Images(folder / "apostille.tar", folder / "apostille-exchange.tar")


def _sources() -> Mapping[str, str]:
    files = [ROOT / name for name in _CONTEXT]
    files += [file for file in (ROOT / "operator").rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    return {str(file.relative_to(ROOT)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _forget_old(current: Entry) -> None:
    folders = sorted(current.directory.parent.glob("images-*"), key=lambda folder: folder.stat().st_mtime)
    for folder in folders[:-_KEPT]:
        if folder != current.directory:
            shutil.rmtree(folder, ignore_errors=True)


def _base(say: Say) -> Path:
    inputs = {"suite": _SUITE, "packages": " ".join(_INCLUDED), "left out": " ".join(_LEFT_OUT)}
    entry = Entry("base", {**inputs, "architecture": archive.architecture()}, lock="base")
    return entry.make(lambda work: _bootstrap(work, say), say)


def _bootstrap(work: Path, say: Say) -> None:
    root = work / "root"
    say(f"base image: Debian {_SUITE} with {' '.join(_INCLUDED)}")
    include = ",".join(_INCLUDED)
    _run(
        "base image",
        ["debootstrap", "--variant=minbase", f"--include={include}", _SUITE, root],
        work,
        say,
        "usually 60–120 s",
    )
    for path in _LEFT_OUT:
        shutil.rmtree(root / path, ignore_errors=True)
    excluded = [f"--exclude=./{path}/*" for path in ("dev", "proc", "sys", "run", "tmp")]
    _run("base archive", ["tar", "-C", root, "--numeric-owner", *excluded, "-cf", work / "base.tar", "."], work, say)
    shutil.rmtree(root)
    _forget_logs(work)


def _build(work: Path, base: Path, say: Say) -> None:
    say("images: building apostille and apostille-exchange (usually 5–60 s)")
    store = cache_folder() / "node" / "images"
    store.mkdir(parents=True, exist_ok=True)
    name = f"localhost/base:{base.parent.name.rpartition('-')[2]}"
    with tempfile.TemporaryDirectory(prefix="apostille-image-") as run:
        buildah: list[str | Path] = ["buildah", f"--root={store}", f"--runroot={run}", "--storage-driver=overlay"]
        known = subprocess.run(_apart([*buildah, "inspect", "--type=image", name]), capture_output=True, check=False)
        if known.returncode != 0:
            (work / "context").mkdir()
            os.link(base, work / "context" / "base.tar")
            (work / "context" / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
            import_base = [*buildah, "bud", "--isolation=chroot", f"--tag={name}", work / "context"]
            _run("base import", _apart(import_base), work, say)
            shutil.rmtree(work / "context")
        for target, tag in _TARGETS.items():
            bud = [
                *buildah,
                "bud",
                "--isolation=chroot",
                "--layers",
                "--format=docker",
                f"--file={ROOT / 'Dockerfile'}",
            ]
            bud += [f"--target={target}", f"--build-arg=BASE={name}", f"--tag={tag}", *_registry_access(work), ROOT]
            _run(f"image {target}", _apart(bud), work, say, "usually 5–60 s")
            push = [*buildah, "push", "--quiet", tag, f"docker-archive:{work / target}.tar:{tag}"]
            _run(f"archive {target}", _apart(push), work, say)
    (work / "pip.conf").unlink()
    _forget_logs(work)


def _registry_access(work: Path) -> list[str]:
    # How this machine reaches the package index: its pip settings and authorities, for the length of the build.
    settings = configparser.ConfigParser()
    settings.read("/etc/pip.conf")
    if not settings.has_section("global"):
        settings.add_section("global")
    bundle = os.environ.get("PIP_CERT") or settings.get("global", "cert", fallback=None)
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_DEFAULT_TIMEOUT", "PIP_TRUSTED_HOST"):
        if value := os.environ.get(name):
            settings.set("global", name.removeprefix("PIP_").lower().replace("_", "-"), value.replace("%", "%%"))
    mounts = [f"--volume={work / 'pip.conf'}:/etc/pip.conf:ro"]
    if bundle and Path(bundle).exists():
        inside = "/etc/ssl/certs/machine.crt"
        settings.set("global", "cert", inside)
        mounts.append(f"--volume={bundle}:{inside}:ro")
    with (work / "pip.conf").open("w") as file:
        settings.write(file)
    return mounts


def _apart(argv: Sequence[str | Path]) -> Sequence[str | Path]:
    # buildah leaves mounts behind, here in a namespace that ends with it.
    return ["unshare", "--mount", "--propagation=private", *argv]


def _run(name: str, argv: Sequence[str | Path], work: Path, say: Say, usually: str = "") -> None:
    progress = Work(say, name)
    running = processes.start(name.replace(" ", "-"), argv, work)
    try:
        while running.running:
            suffix = f", {usually}" if usually else ""
            progress.tick(lambda suffix=suffix: f"{clock(progress.elapsed)} elapsed{suffix}")  # type: ignore[misc]
            time.sleep(0.1)
        if running.returncode != 0:
            raise BuildError(f"{name}: {' '.join(map(str, argv[:8]))} … failed:\n{running.tail(30)}")
    finally:
        running.kill()


def _forget_logs(work: Path) -> None:
    for file in work.glob("*.log"):
        file.unlink()
