"""A pod's sandbox by itself: containers see the machine's files, and what others have mounted there is no obstacle."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Runs in a user namespace that has mounts of its own, which are locked for the sandbox's namespaces inside it.
_SCRIPT = """
import asyncio, sys
from pathlib import Path
from apostille_testbed.pods.sandbox import Process, Sandbox, Shape, detect

async def main(folder, foreign):
    print((await detect()).namespaces)
    shape = Shape(folder / "pod", folder / "logs", "p", "", "10.244.0.2", {}, True)
    sandbox = await Sandbox.create(shape)
    try:
        script = f"cat {foreign}/kept/file; echo more >{foreign}/kept/file"
        output = shape.logs / "c"
        process = Process(["sh", "-c", script], {"PATH": "/usr/bin:/bin"}, "/", [], 1000, 1000, False, output)
        print(await sandbox.wait(await sandbox.start(process)))
        print(output.read_text(), Path(foreign, "kept/file").read_text())
    finally:
        await sandbox.close()

asyncio.run(main(*map(Path, sys.argv[1:])))
"""


@pytest.mark.usefixtures("isolation")
def test_a_container_starts_beside_mounts_of_others(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    prepare = f"""
        set -e
        mount -t tmpfs none {foreign}
        mkdir {foreign}/kept {foreign}/proc
        echo text >{foreign}/kept/file
        mount -t proc none {foreign}/proc
        exec "$@" """
    command = ["unshare", "-Urmpf", "sh", "-c", prepare, "sh", sys.executable, "-c", _SCRIPT]

    done = subprocess.run(
        [*command, str(tmp_path / "node"), str(foreign)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.split() == ["True", "0", "text", "text"], done.stderr
