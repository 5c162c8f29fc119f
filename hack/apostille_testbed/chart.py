"""Apostille's Helm chart: rendered, and installed on a node of the testbed."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from apostille_testbed import binaries
from apostille_testbed.progress import Console, Say

if TYPE_CHECKING:
    from apostille_testbed.node.lane import Node

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "apostille"
RELEASE = "apostille"
NAMESPACE = "apostille-system"

MANIFEST = ROOT / "hack" / "manifests" / "apostille.yaml"
"""What an installation needs in the cluster beside the two kinds, for processes that run outside of it."""

INSTALL = ROOT / "install" / "apostille.yaml"
"""The whole chart by its defaults, rendered for those who do not use Helm; the two kinds lie beside it."""

_MANIFEST_TEMPLATES = (
    "anchor", "controller/lease", "controller/rbac", "admission/rbac", "admission/observed", "restraints/controller",
    "restraints/prefixes",
)  # fmt: skip
_MANIFEST_HEADER = f"""\
# Made from charts/apostille by `hack/testbed manifest`; do not edit.
# What an installation needs in the cluster beside crds/: namespace, anchor, identities, least rights, restraints.
# The two processes run with exactly these in tests and in the demo.
apiVersion: v1
kind: Namespace
metadata:
  name: {NAMESPACE}
  labels: {{pod-security.kubernetes.io/enforce: restricted}}
"""


class HelmError(RuntimeError):
    """Helm failed; the message is the command and what it wrote to standard error."""


def helm(*arguments: str | Path, kubeconfig: Path | None = None, timeout: float = 300.0) -> str:
    """Runs Helm; returns its standard output. Raises HelmError."""
    # Nothing of the caller's: no plugins, repositories or registries of theirs.
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8"}
    if kubeconfig is not None:
        environment["KUBECONFIG"] = str(kubeconfig)
    done = subprocess.run(
        [binaries.helm(), *map(str, arguments)],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    if done.returncode != 0:
        command = " ".join(["helm", *map(str, arguments)])
        state = _state(kubeconfig) if kubeconfig is not None and "deadline" in done.stderr else ""
        raise HelmError(f"{command}: exit code {done.returncode}\n{done.stderr.strip()}{state}")
    return done.stdout


def _state(kubeconfig: Path) -> str:
    """What is there of the release, what happened and what its pods wrote last: Helm does not say what it waits for."""
    ours = f"--selector=app.kubernetes.io/instance={RELEASE}"
    asked = (
        ("get", "deployments,replicasets,pods,jobs", "-o", "wide"),
        ("get", "events", "--sort-by=.lastTimestamp"),
        ("logs", ours, "--all-containers", "--prefix", "--ignore-errors", "--tail=30", "--max-log-requests=20"),
    )
    said = [f"{done.stdout}{done.stderr}" for done in (_kubectl(kubeconfig, *arguments) for arguments in asked)]
    return "".join(f"\n\n{one.strip()}" for one in said)


def _kubectl(kubeconfig: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [binaries.kubectl(), f"--kubeconfig={kubeconfig}", f"--namespace={NAMESPACE}", *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def template(*settings: str, show: Sequence[str] = ()) -> str:
    """What the chart renders with ``--set`` settings; ``show``: only these templates. Raises HelmError."""
    only = [f"--show-only=templates/{name}.yaml" for name in show]
    return helm("template", RELEASE, CHART, f"--namespace={NAMESPACE}", *_set(settings), *only)


def manifest() -> str:
    """The text of `MANIFEST`. Raises HelmError."""
    return _MANIFEST_HEADER + template(show=_MANIFEST_TEMPLATES)


def install() -> str:
    """The text of `INSTALL`. Raises HelmError."""
    namespace = f"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NAMESPACE}\n"
    header = "# Made from charts/apostille by `hack/testbed manifest`; do not edit.\n"
    return header + namespace + template("crds.enabled=false")


class Release:
    """The chart on a node, with the images of this checkout and ``--set`` settings.

    Use it in a ``with`` block, or call `load`, `install`, `uninstall`.
    """

    def __init__(self, node: Node, *settings: str, say: Say | None = None) -> None:
        self.node = node
        self._settings = settings
        self._say = say or Console()

    def load(self) -> None:
        """Has the images of this checkout in the node. Raises BuildError, ProcessError."""
        from apostille_testbed.node import images

        built = images.images(self._say)
        for archive in (built.apostille, built.exchange):
            self.node.load(archive)

    def install(self, *settings: str, timeout: float = 120.0) -> str:
        """``helm install --wait``; returns what Helm says. Raises HelmError."""
        return self._helm("install", RELEASE, CHART, "--create-namespace", *self._common(settings, timeout))

    def upgrade(self, *settings: str, timeout: float = 120.0, force: bool = False) -> str:
        """``helm upgrade --wait``; ``force`` replaces objects instead of patching them. Raises HelmError."""
        flags = ["--force"] if force else []
        return self._helm("upgrade", RELEASE, CHART, *flags, *self._common(settings, timeout))

    def uninstall(self) -> None:
        """``helm uninstall --wait``; nothing happens where it is not there. Raises HelmError."""
        self._helm("uninstall", RELEASE, "--ignore-not-found", "--wait", "--timeout=120s")

    def __enter__(self) -> Self:
        self.load()
        self.install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.uninstall()

    def _helm(self, *arguments: str | Path) -> str:
        return helm(*arguments, f"--namespace={NAMESPACE}", kubeconfig=self.node.kubeconfig)

    def _common(self, settings: Sequence[str], timeout: float) -> list[str]:
        images = [f"{of}.{what}" for of in ("image", "exchange.image") for what in ("registry=localhost", "tag=dev")]
        return [*_set([*images, *self._settings, *settings]), "--wait", f"--timeout={timeout:g}s"]


def _set(settings: Sequence[str]) -> list[str]:
    return [f"--set={setting}" for setting in settings]
