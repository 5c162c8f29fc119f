"""containerd in a node's space. Its image store outlives the node: importing a large image takes a quarter minute."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from pathlib import Path

from apostille_testbed.cache import cache_folder
from apostille_testbed.node.space import Space
from apostille_testbed.processes import Process, ProcessError

PAUSE = "localhost/pause:1"
"""The image of pod sandboxes."""

PLUGINS = Path("/usr/lib/cni")
"""Where Debian has the CNI plugins."""

SOCKET = "/run/containerd/containerd.sock"
"""In the node's space."""

_NAMESPACE = "k8s.io"


class Containerd:
    """containerd for one node."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._folder = space.directory / "containerd"
        self._store = cache_folder() / "node" / f"containerd-{_version()}"

    def start(self, cni: str) -> Process:
        """Starts it with this CNI configuration; returns when it answers. Raises ProcessError."""
        networks = self._folder / "cni"
        networks.mkdir(parents=True, exist_ok=True)
        self._store.mkdir(parents=True, exist_ok=True)
        (networks / "10-testbed.conflist").write_text(cni)
        config = self._folder / "config.toml"
        config.write_text(
            f"""version = 2
root = "{self._store}"
state = "{self._folder / "state"}"
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs",
]
[grpc]
  address = "{SOCKET}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  # Root of a container may lack CAP_SYS_RESOURCE; without this every sandbox then fails.
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{networks}"
"""
        )
        return self._space.start("containerd", ["containerd", f"--config={config}"], ready=self._answers, timeout=60.0)

    def clean(self) -> None:
        """Forgets the containers of a run before, which are gone: only images are kept. Raises ProcessError."""
        for container in self._ctr("containers", "list", "--quiet").split():
            self._ctr("containers", "delete", container)

    def load(self, archive: Path) -> str:
        """Takes in a docker-archive unless it is there; returns its name. Raises ProcessError."""
        name = image_name(archive)
        # The manifest names layers and configuration by their sums: enough to know the content.
        noted = self._store / "imported" / hashlib.sha256(f"{name}\0{_manifest(archive)}".encode()).hexdigest()
        latest = self._store / "imported" / hashlib.sha256(name.encode()).hexdigest()
        if not (latest.is_symlink() and latest.readlink() == Path(noted.name) and name in self.images()):
            self._ctr("images", "import", archive, timeout=300.0)
            noted.parent.mkdir(exist_ok=True)
            latest.unlink(missing_ok=True)
            latest.symlink_to(noted.name)
        return name

    def name(self, image: str, other: str) -> None:
        """Has an image under another name too, as a kubelet writes it (with host and tag). Raises ProcessError."""
        self._ctr("images", "tag", "--force", image, other)

    def images(self) -> list[str]:
        """The names of all images. Raises ProcessError."""
        return self._ctr("images", "list", "--quiet").split()

    def _answers(self) -> bool:
        try:
            self._space.run("test", "-S", SOCKET)  # without it ctr waits for ten seconds
            self._ctr("version", timeout=3.0)
        except (ProcessError, subprocess.TimeoutExpired):
            return False
        return True

    def _ctr(self, *arguments: str | Path, timeout: float = 60.0) -> str:
        return self._space.run("ctr", f"--address={SOCKET}", f"--namespace={_NAMESPACE}", *arguments, timeout=timeout)


def image_name(archive: Path) -> str:
    """The name with tag of the image in a docker-archive."""
    return str(json.loads(_manifest(archive))[0]["RepoTags"][0])


def _manifest(archive: Path) -> str:
    with tarfile.open(archive) as file:
        member = file.extractfile("manifest.json")
        assert member is not None, f"{archive} is no docker-archive"
        return member.read().decode()


def _version() -> str:
    # Another series may not read this one's store.
    done = subprocess.run(["containerd", "--version"], capture_output=True, text=True, check=True)
    words = done.stdout.split()
    number = next((word for word in words if word.lstrip("v")[:1].isdigit()), "unknown")
    return ".".join(number.lstrip("v").split(".")[:2])
