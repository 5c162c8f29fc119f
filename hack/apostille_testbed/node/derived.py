"""An image as application teams have them, over the base of Apostille's images: what both have is stored once."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from apostille_testbed.cache import Entry
from apostille_testbed.node import archive, images
from apostille_testbed.progress import Say

APPLICATION = "localhost/application:1"
"""Debian's Python with unmodified boto3, run as a number."""

_PACKAGES = ("boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3")
_FOLDER = "/opt/application"
_CONFIG = {
    "Entrypoint": None,
    "Cmd": ["python3"],
    "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", f"PYTHONPATH={_FOLDER}", "PYTHONDONTWRITEBYTECODE=1"],
    "User": "65534:65534",
}


def application(say: Say) -> Path:
    """The archive of `APPLICATION`. Raises BuildError, OSError."""
    base = images.images(say).exchange
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    inputs = {**versions, "base": archive.lowest_layer(base), "format": "3"}
    entry = Entry("application", inputs, lock="application")
    return entry.make(lambda work: _make(work / "application.tar", base), say) / "application.tar"


def _make(to: Path, base: Path) -> None:
    files: dict[str, bytes] = {}
    for name in _PACKAGES:
        for file in importlib.metadata.files(name) or ():
            if ".." not in file.parts and file.suffix != ".pyc":
                files[f"{_FOLDER}/{file}"] = Path(str(file.locate())).read_bytes()
    # Without the sidecar: only what lies below it.
    archive.extend(to, base, APPLICATION, files, layers=1, config=_CONFIG)
