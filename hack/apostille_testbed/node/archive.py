"""Small images without a build: a docker-archive of one layer."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from apostille_testbed.cache import Entry
from apostille_testbed.node.containerd import PAUSE
from apostille_testbed.progress import Say

BUSYBOX = "localhost/busybox:1"
"""A shell and small tools, for pods that need no more."""

_GOARCH = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture() -> str:
    """This machine's, as images call it."""
    return _GOARCH.get(platform.machine(), platform.machine())


def small_images(say: Say) -> list[Path]:
    """The archives of `BUSYBOX` and of the image of pod sandboxes. Raises OSError."""
    program = shutil.which("busybox")
    assert program is not None
    content = Path(program).read_bytes()
    entry = Entry("busybox", {"sum": hashlib.sha256(content).hexdigest(), "format": "1"}, lock="busybox")
    folder = entry.make(lambda work: _make(work, program), say)
    return [folder / "pause.tar", folder / "busybox.tar"]


def _make(work: Path, program: str) -> None:
    applets = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    layer = _layer(program, applets)
    write(work / "busybox.tar", BUSYBOX, layer, {"Cmd": ["/bin/sh"]})
    # It holds the pod's namespaces, adopts orphans, and ends when told.
    hold = "trap 'exit 0' TERM INT; while :; do sleep 86400 & wait; done"
    write(work / "pause.tar", PAUSE, layer, {"Entrypoint": ["/bin/sh", "-c", hold], "User": "65535:65535"})


def _layer(program: str, applets: Sequence[str]) -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, mode in (("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777), ("var", 0o755)):
            folder = tarfile.TarInfo(name)
            folder.type, folder.mode = tarfile.DIRTYPE, mode
            tar.addfile(folder)
        _add(tar, "bin/busybox", Path(program).read_bytes(), 0o755)
        for name, content in (("passwd", "root:x:0:0:root:/root:/bin/sh\n"), ("group", "root:x:0:\n")):
            _add(tar, f"etc/{name}", content.encode(), 0o644)
        for applet in applets:
            if applet != "busybox":
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
    return output.getvalue()


def write(path: Path, name: str, layer: bytes, config: Mapping[str, object]) -> None:
    """Writes the archive of an image of one layer, a tar; ``config`` as in the OCI image configuration."""
    layer_sum = hashlib.sha256(layer).hexdigest()
    description = json.dumps(
        {
            "architecture": architecture(),
            "os": "linux",
            "created": "2020-01-01T00:00:00Z",
            "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"], **config},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_sum}"]},
        }
    ).encode()
    description_sum = hashlib.sha256(description).hexdigest()
    layers = [f"{layer_sum}/layer.tar"]
    manifest = [{"Config": f"{description_sum}.json", "RepoTags": [name], "Layers": layers}]
    with tarfile.open(path, "w") as tar:
        for member, content in _members(layers[0], layer, f"{description_sum}.json", description, manifest):
            _add(tar, member, content, 0o644)


def _members(
    layer_name: str, layer: bytes, config_name: str, config: bytes, manifest: object
) -> Iterator[tuple[str, bytes]]:
    yield layer_name, layer
    yield config_name, config
    yield "manifest.json", json.dumps(manifest).encode()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    tar.addfile(member, io.BytesIO(content))


def extend(
    path: Path,
    base: Path,
    name: str,
    files: Mapping[str, bytes],
    *,
    programs: Mapping[str, bytes] | None = None,
    layers: int | None = None,
    config: Mapping[str, object] | None = None,
) -> None:
    """Writes the archive of an image that is ``base`` with ``files`` (absolute path to content) over it.

    Args:
        programs: files that may be run.
        layers: how many of the lowest layers of ``base`` it has; None: all.
        config: fields of the OCI image configuration that replace those of ``base``.
    """
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for mode, given in ((0o644, files), (0o755, programs or {})):
            for target, content in given.items():
                _add(tar, target.lstrip("/"), content, mode)
    layer_sum = hashlib.sha256(layer.getvalue()).hexdigest()
    with tarfile.open(base) as below, tarfile.open(path, "w") as tar:
        manifest = json.loads(_read(below, "manifest.json"))[0]
        described = json.loads(_read(below, manifest["Config"]))
        described["config"] |= config or {}
        described["rootfs"]["diff_ids"] = [*described["rootfs"]["diff_ids"][:layers], f"sha256:{layer_sum}"]
        # It would have to tell of exactly these layers, and need not be there.
        described.pop("history", None)
        description = json.dumps(described).encode()
        description_name = f"{hashlib.sha256(description).hexdigest()}.json"
        kept = manifest["Layers"][:layers]
        for member in kept:
            _add(tar, member, _read(below, member), 0o644)
        layer_name = f"{layer_sum}.tar"
        _add(tar, layer_name, layer.getvalue(), 0o644)
        _add(tar, description_name, description, 0o644)
        listed = [{"Config": description_name, "RepoTags": [name], "Layers": [*kept, layer_name]}]
        _add(tar, "manifest.json", json.dumps(listed).encode(), 0o644)


def lowest_layer(archive: Path) -> str:
    """What names the content of the lowest layer of a docker-archive."""
    with tarfile.open(archive) as tar:
        return str(json.loads(_read(tar, "manifest.json"))[0]["Layers"][0])


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    member = tar.extractfile(name)
    assert member is not None, f"{tar.name!s} has no {name}"
    return member.read()
