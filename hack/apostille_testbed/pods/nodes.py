"""A node for a control plane of the testbed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from apostille_testbed.control_plane import ControlPlane
from apostille_testbed.pods.images import DEFAULT_IMAGES, Image
from apostille_testbed.pods.routes import Route
from apostille_testbed.pods.runner import ADDRESS, PodRunner


@contextmanager
def pod_runner(
    control_plane: ControlPlane,
    *,
    name: str = "node",
    images: Mapping[str, Image] = DEFAULT_IMAGES,
    routes: Sequence[Route] = (),
    namespaces: Collection[str] | None = None,
    isolation: bool | None = None,
    backoff: float = 1.0,
) -> Iterator[PodRunner]:
    """Runs the pods of a control plane for the length of a ``with`` block.

    Its pods reach the API server as ``kubernetes.default.svc``, and what ``routes`` name.

    Args:
        name: the node's; nodes of one control plane need different ones, and ``namespaces`` that do not overlap.
        images: what runs for which image reference.
        routes: host names that lead to servers on this machine.
        namespaces: whose pods are taken; default: all.
        isolation: False does without namespaces of the kernel; None: where the machine allows them.
        backoff: seconds before a container's second restart; a kubelet's are 10.

    Raises:
        ApiError: the node cannot be registered.
    """
    port = int(control_plane.url.rpartition(":")[2])
    with PodRunner(
        kubeconfig=control_plane.kubeconfig,
        node_kubeconfig=control_plane.kubeconfig_for(f"system:node:{name}", ["system:nodes"]),
        directory=control_plane.directory / "nodes" / name,
        name=name,
        images=images,
        routes=[Route(["kubernetes.default.svc"], 443, (ADDRESS, port)), *routes],
        namespaces=namespaces,
        isolation=isolation,
        backoff=backoff,
        serving=control_plane.authority.server(f"kubelet-{name}", [ADDRESS, name]),
    ) as running:
        yield running
