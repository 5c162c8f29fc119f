"""Python packages that are read and never run: what vendors say of themselves in what they publish."""

from __future__ import annotations

import subprocess
from pathlib import Path

from apostille_testbed.golang import BuildError, installer


def unpack(package: str, version: str, folder: Path) -> Path:
    """Installs a package without what it needs into ``folder``, which it returns. Raises BuildError."""
    wanted = f"{package}=={version}"
    command = [*installer(), "--no-deps", "--target", str(folder), wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BuildError(f"{wanted} cannot be had:\n{done.stderr.strip()[-2000:]}")
    return folder
