"""What the demo's processes write, and where it is kept when something failed."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from apostille_testbed import instances
from apostille_testbed.cache import cache_folder

LOGS = {
    "aws": "aws.log",
    "controller": "apostille/apostille-controller.log",
    "admission": "apostille/apostille-admission.log",
    "node": "node.log",
    "apiserver": "apiserver.log",
    "etcd": "etcd.log",
    "pipeline": "pipeline.log",
    "vault": "vault/vault.log",
    "minio": "minio/minio.log",
    "kubelet": "node/kubelet.log",
}
"""The name a reader uses to a path in the instance's directory; each demo has some of them."""


def guardian_log(identity: str) -> Path:
    """What the process in the background writes itself; ``hack/testbed down`` knows it too."""
    return instances.folder() / f"{identity}.log"


def kept(identity: str) -> Path:
    """The folder that outlives a failed run."""
    return cache_folder() / "demo-logs" / identity


def keep(identity: str, directory: Path) -> Path:
    """Copies the logs of a running instance to `kept`, where the next run does not find them: it removes them."""
    folder = kept(identity)
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        shutil.copy(guardian_log(identity), folder / "guardian.log")
    for name, path in [*LOGS.items(), *_containers(directory)]:
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(directory / path, folder / f"{name}.log")
    return folder


def forget(identity: str) -> None:
    """Removes what `keep` kept."""
    shutil.rmtree(kept(identity), ignore_errors=True)
    with contextlib.suppress(OSError):
        kept(identity).parent.rmdir()


def _containers(directory: Path) -> Iterable[tuple[str, str]]:
    # nodes/NODE/logs/UID/CONTAINER.RESTARTS.log, as the pod runner writes them.
    for path in sorted(directory.glob("nodes/*/logs/*/*.log")):
        yield f"container-{path.parent.name[:8]}-{path.stem}", str(path.relative_to(directory))
