"""What pods without namespaces leave on the machine when all of a runner is killed at once."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path


def clear(directory: Path) -> None:
    """Takes away the links to volumes below ``directory``, and the folders that were made for them and are empty.

    A link that leads elsewhere by now, and a folder with something in it, are somebody else's.
    """
    for record in directory.rglob("pods/*/links"):
        with contextlib.suppress(OSError, ValueError):
            noted = json.loads(record.read_text())
            for link in map(Path, noted["links"]):
                if link.is_symlink() and link.readlink().is_relative_to(record.parent):
                    link.unlink()
            for folder in reversed(noted["made"]):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
