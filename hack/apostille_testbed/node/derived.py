"""Images that are another one with something on top, without a build: layers that both have are stored once."""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from apostille_testbed.cache import Entry
from apostille_testbed.node import images
from apostille_testbed.progress import Say

APPLICATION = "localhost/application:1"
"""Debian's Python with unmodified boto3, run as a number: what an application team would bring."""

_PACKAGES = ("boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3")
_FOLDER = "opt/application"
_USER = 65534


def application(say: Say) -> Path:
    """The archive of `APPLICATION`, over the base of Apostille's images. Raises BuildError, OSError."""
    exchange = images.images(say).exchange
    versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
    inputs = {**versions, "base": _manifest(exchange)["Layers"][0], "format": "2"}
    entry = Entry("application", inputs, lock="application")
    return entry.make(lambda work: _make(work / "application.tar", exchange), say) / "application.tar"


def derive(
    source: Path,
    to: Path,
    name: str,
    files: Mapping[str, bytes],
    config: Mapping[str, Any],
    *,
    layers: int | None = None,
) -> Path:
    """Writes a docker-archive to ``to`` and returns that.

    Args:
        source: another one.
        name: of the new image, with tag.
        files: what its own layer adds, by path without a leading slash; readable by everybody.
        config: fields of the OCI image configuration that replace those of ``source``.
        layers: how many of the lowest layers of ``source`` it has; None: all.
    """
    layer = _layer(files)
    digest = hashlib.sha256(layer).hexdigest()
    manifest = _manifest(source)
    kept = manifest["Layers"][:layers]
    with tarfile.open(source) as old:
        described = json.loads(_read(old, manifest["Config"]))
        described["config"] |= config
        described["rootfs"]["diff_ids"] = [*described["rootfs"]["diff_ids"][:layers], f"sha256:{digest}"]
        for what in ("history", "container_config", "parent"):
            described.pop(what, None)
        text = json.dumps(described).encode()
        names = [*kept, f"{digest}.tar"]
        listed = [{"Config": f"{hashlib.sha256(text).hexdigest()}.json", "RepoTags": [name], "Layers": names}]
        with tarfile.open(to, "w") as new:
            for member in kept:
                new.addfile(old.getmember(member), old.extractfile(member))
            _add(new, names[-1], layer)
            _add(new, str(listed[0]["Config"]), text)
            _add(new, "manifest.json", json.dumps(listed).encode())
    return to


def _make(to: Path, base: Path) -> None:
    files: dict[str, bytes] = {}
    for name in _PACKAGES:
        for file in importlib.metadata.files(name) or ():
            path = Path(str(file.locate()))
            if ".." not in file.parts and path.suffix != ".pyc" and "examples" not in file.parts:
                files[f"{_FOLDER}/{file}"] = path.read_bytes()
    config = {
        "Entrypoint": None,
        "Cmd": ["python3"],
        "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", f"PYTHONPATH=/{_FOLDER}", "PYTHONDONTWRITEBYTECODE=1"],
        "User": f"{_USER}:{_USER}",
    }
    derive(base, to, APPLICATION, files, config, layers=1)


def _manifest(archive: Path) -> dict[str, Any]:
    with tarfile.open(archive) as file:
        manifest: list[dict[str, Any]] = json.loads(_read(file, "manifest.json"))
    return manifest[0]


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    member = archive.extractfile(name)
    assert member is not None, f"{name} is no file"
    return member.read()


def _layer(files: Mapping[str, bytes]) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in sorted({str(parent) for path in files for parent in Path(path).parents} - {"."}):
            made = tarfile.TarInfo(folder)
            made.type, made.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(made)
        for path in sorted(files):
            _add(tar, path, files[path])
    return output.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    tar.addfile(member, io.BytesIO(content))
