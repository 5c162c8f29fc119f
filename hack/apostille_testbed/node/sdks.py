"""An image with the unmodified SDKs of applications: Python's of every party, AWS' for Go and JavaScript too.

Over the base of Apostille's images, like `derived.APPLICATION`: what they have in common is stored once.
"""

from __future__ import annotations

import compileall
import importlib.metadata
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from py_compile import PycInvalidationMode

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from apostille_testbed import golang
from apostille_testbed.cache import Entry
from apostille_testbed.golang import BuildError
from apostille_testbed.node import archive, images
from apostille_testbed.parties.aws import callers
from apostille_testbed.progress import Say

SDKS = "localhost/sdks:1"
"""Run as a number; what ``$AWS_CALLER_GO`` and ``$AWS_CALLER_NODE`` run prints who it is at STS."""

_GO, _NODE, _NODE_SCRIPT = "/opt/go/caller", "/opt/node/node", "/opt/node/caller.mjs"

_WANTED = (
    "boto3", "google-auth", "azure-identity", "hvac", "databricks-sdk", "snowflake-connector-python",
    "alibabacloud-credentials", "requests",
)  # fmt: skip
_SOURCES = ("alibabacloud-tea",)
"""Of Python alone, and published as sources only."""
_PYTHON = (3, 11)
"""The base image's."""
_LOCK = images.ROOT / "locks" / "dev.txt"
_FOLDER = "/opt/python"

CERTIFI = f"{_FOLDER}/certifi/cacert.pem"
"""The authorities of SDKs that do not ask the environment for others."""
_CONFIG = {
    "Entrypoint": None,
    "Cmd": ["python3"],
    "Env": [
        "PATH=/usr/local/bin:/usr/bin:/bin",
        f"PYTHONPATH={_FOLDER}",
        "PYTHONDONTWRITEBYTECODE=1",
        "HOME=/tmp",
        f"AWS_CALLER_GO={_GO}",
        f"AWS_CALLER_NODE={_NODE} {_NODE_SCRIPT}",
    ],
    "User": "65534:65534",
}


def sdks(say: Say) -> Path:
    """The archive of `SDKS`. Raises BuildError, OSError; BuildError too where there is no Node.js."""
    base = images.images(say).exchange
    go, node = callers.go(say), callers.node(say)
    if node is None:
        raise BuildError("the image with all SDKs takes the machine's Node.js and npm, which are not there")
    wanted = _locked(_closure(_WANTED))
    inputs = {
        "packages": wanted,
        "go": Path(go[0]).parent.name,
        "node": _version(node[0]),
        "npm": Path(node[1]).parent.name,
        "base": archive.lowest_layer(base),
        "compiled by": _compiler(),
        "format": "2",
    }
    entry = Entry("sdks", inputs, lock="sdks")

    def build(work: Path) -> None:
        say("image with SDKs: installing Python's and packing (usually 30 s, once)")
        programs = {_GO: Path(go[0]), _NODE: Path(node[0])}
        with tempfile.TemporaryDirectory(prefix="apostille-sdks-") as folder:
            _install(Path(folder), wanted)
            files = dict(_below(_FOLDER, Path(folder)))
            files |= dict(_below(str(Path(_NODE_SCRIPT).parent), Path(node[1]).parent))
            # Without the sidecar: only what lies below it.
            archive.extend(
                work / "sdks.tar", base, SDKS, files, layers=1, config=_CONFIG,
                programs={name: path.read_bytes() for name, path in programs.items()},
            )  # fmt: skip

    return entry.make(build, say) / "sdks.tar"


def _closure(names: Iterable[str]) -> set[str]:
    """With everything they need in the image; canonical names."""
    environment = {"python_version": ".".join(map(str, _PYTHON)), "extra": ""}
    found: set[str] = set()
    left = [canonicalize_name(name) for name in names]
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        for text in importlib.metadata.requires(name) or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate(environment):
                left.append(canonicalize_name(needed.name))
    return found


def _locked(names: set[str]) -> str:
    """The lines of the lock about these packages, hashes included."""
    blocks = re.split(r"^(?=\S)", _LOCK.read_text(), flags=re.MULTILINE)
    kept = [block for block in blocks if canonicalize_name(re.split(r"[=\[ ]", block)[0]) in names]
    if len(kept) < len(names):
        raise BuildError(f"{_LOCK.name} does not have all of {' '.join(sorted(names))}")
    return "".join(kept)


def _install(folder: Path, requirements: str) -> None:
    file = folder.with_suffix(".txt")
    file.write_text(requirements)
    version = ".".join(map(str, _PYTHON))
    options = ["--target", str(folder), "--no-deps", "--require-hashes", "--only-binary", ":all:"]
    options += [f"--no-binary={name}" for name in _SOURCES]
    argv = [*golang.installer(), *options, "--python-version", version, "-r", str(file)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    file.unlink()
    if done.returncode != 0:
        raise BuildError(f"the SDKs cannot be installed:\n{done.stderr.strip()[-2000:]}")
    if _compiler():
        # In the archive every file is of one time, so a source's time says nothing.
        compileall.compile_dir(folder, quiet=2, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)


def _compiler() -> str:
    """The series of this interpreter where the image's can read what it compiles; else the image compiles each time."""
    return ".".join(map(str, _PYTHON)) if sys.version_info[:2] == _PYTHON else ""


def _below(target: str, folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield f"{target}/{path.relative_to(folder)}", path.read_bytes()


def _version(program: str) -> str:
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.strip()
