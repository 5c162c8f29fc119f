"""Programs that ask STS who they are, with unmodified AWS SDKs of other languages; built once into the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from apostille_testbed import golang
from apostille_testbed.cache import Entry
from apostille_testbed.golang import BuildError
from apostille_testbed.progress import Say

_TESTBED = Path(__file__).parents[2]
_GO, _NPM = _TESTBED / "go" / "aws-caller", _TESTBED / "npm" / "aws-caller"
_NEEDED = "1.24"


def go(say: Say) -> list[str]:
    """The command line of the caller with the AWS SDK for Go. Raises BuildError."""
    toolchain = golang.toolchain(_NEEDED, say)
    inputs = {**_texts(_GO), "go": toolchain.series}
    entry = Entry("aws-caller-go", inputs, lock="aws-caller-go")

    def build(work: Path) -> None:
        say("AWS SDK for Go: building a caller (a minute or two, once)")
        argv = [str(toolchain.program(say)), "build", "-trimpath", "-ldflags", "-s -w", "-o", str(work / "caller"), "."]
        _run(argv, _GO, {**golang.environment(), "GOFLAGS": "-mod=readonly"})

    return [str(entry.make(build, say) / "caller")]


def node(say: Say) -> list[str] | None:
    """The command line of the caller with the AWS SDK for JavaScript; None where there is no Node.js, which no package
    index that the testbed uses has. Raises BuildError.
    """
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        return None
    entry = Entry("aws-caller-node", _texts(_NPM), lock="aws-caller-node")

    def build(work: Path) -> None:
        say("AWS SDK for JavaScript: installing (a few seconds, once)")
        for name in ("package.json", "package-lock.json", "caller.mjs"):
            shutil.copy(_NPM / name, work / name)
        _run([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], work, dict(os.environ))
        # Links to programs that nobody calls here; what is kept in the cache is files.
        shutil.rmtree(work / "node_modules" / ".bin", ignore_errors=True)

    return [program, str(entry.make(build, say) / "caller.mjs")]


def _texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir()) if path.is_file()}


def _run(argv: list[str], where: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(argv, cwd=where, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{Path(argv[0]).name} {argv[1]} failed:\n{(done.stdout + done.stderr).strip()[-2000:]}")
