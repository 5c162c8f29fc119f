"""The testbed: a real control plane and node, relying parties that judge as their vendors do, and a runner for pods.

For tests and the demo only; nothing of the product imports it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from apostille_testbed.client import APIError
from apostille_testbed.control_plane import ControlPlane, KubectlError, control_plane
from apostille_testbed.installation import Installation
from apostille_testbed.instances import InstanceInUse
from apostille_testbed.node import Node, NodeUnavailable, node
from apostille_testbed.processes import ProcessError

if TYPE_CHECKING:
    from apostille_testbed.pods import PodRunner

__all__ = [
    "APIError",
    "ControlPlane",
    "Installation",
    "InstanceInUse",
    "KubectlError",
    "Node",
    "NodeUnavailable",
    "ProcessError",
    "control_plane",
    "node",
    "party",
    "pod_runner",
]


def party(name: str, **settings: Any) -> AbstractContextManager[Any]:
    """Runs the relying party ``name`` for the length of a ``with`` block: `apostille_testbed.parties.party`."""
    from apostille_testbed import parties  # a test of the control plane alone pays for no party

    return parties.party(name, **settings)


def pod_runner(control_plane: ControlPlane, **settings: Any) -> AbstractContextManager[PodRunner]:
    """Runs the pods of ``control_plane`` for the length of a ``with`` block: `apostille_testbed.pods.pod_runner`."""
    from apostille_testbed import pods

    return pods.pod_runner(control_plane, **settings)
