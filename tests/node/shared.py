"""One node for all modules that can live with it, what is installed on it, and the servers beside it."""

from __future__ import annotations

from contextlib import ExitStack

from apostille_testbed import Node
from apostille_testbed import node as start_node
from apostille_testbed.chart import NAMESPACE, Release
from apostille_testbed.node import self_hosted
from apostille_testbed.node.self_hosted import SelfHosted
from node.pods_scene import stock
from node.scene import KINDS, stored, until


class Shared:
    """Each is started when it is first asked for, and lives until `end`.

    Whoever uses it leaves nothing behind that another would trip over: in namespaces, and with trusts, of its own.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._node: Node | None = None
        self._release: Release | None = None
        self._settings: tuple[str, ...] = ()
        self._servers: SelfHosted | None = None

    def node(self) -> Node:
        """A control plane with a node."""
        if self._node is None:
            self._node = self._stack.enter_context(start_node())
        return self._node

    def release(self, *settings: str) -> Release:
        """Apostille on it with these ``--set`` settings; one with others is upgraded."""
        if self._release is not None and self._settings == settings:
            return self._release
        wanted = Release(self.node(), *settings)
        wanted.load()
        if self._release is None:
            wanted.install()
        else:
            wanted.upgrade()
            # One that was told to stop serves on for a while, and would inject what it was told before.
            until(lambda: not _leaving(self.node()), "the pods before the upgrade to be gone")
        self._release, self._settings = wanted, settings
        return wanted

    def bare(self) -> Node:
        """The node without Apostille, its kinds, and what was declared, also where a test that failed left them."""
        node = self.node()
        Release(node).uninstall()
        self._release = None
        remove_kinds(node)
        return node

    def servers(self) -> SelfHosted:
        """Vault and MinIO with content, and the namespace of those who have an identity there."""
        if self._servers is None:
            self._servers = self._stack.enter_context(self_hosted.self_hosted(self.node()))
            stock(self._servers)
        return self._servers

    def end(self) -> None:
        """Ends all of it. May be called again, and all of it may be asked for anew."""
        self._node = self._release = self._servers = None
        self._stack.close()


def _leaving(node: Node) -> list[str]:
    pods = stored(node, "pods", NAMESPACE)["items"]
    return [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" in pod["metadata"]]


def remove_kinds(node: Node) -> None:
    """Removes the kinds, where they are there, with everything declared."""
    node.kubectl("delete", "crd", *KINDS, "--ignore-not-found", "--timeout=60s")
