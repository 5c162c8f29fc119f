"""The node of the testbed: pods run by a real kubelet. See `node.node`; whether a machine can: `capabilities`."""

from apostille_testbed.node.capabilities import lacking
from apostille_testbed.node.lane import Node, NodeUnavailable, node

__all__ = ["Node", "NodeUnavailable", "lacking", "node"]
