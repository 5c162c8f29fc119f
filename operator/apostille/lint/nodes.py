"""A document as a tree that knows its lines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Place:
    """Line and column, counted from 1; ``width`` is the number of characters to mark, in that line."""

    line: int
    column: int
    width: int = 1


@dataclass(slots=True)
class Node:
    """``value`` is a scalar, a list of nodes, or a mapping of nodes by key; ``keys`` are where a mapping's keys stand.

    An alias in YAML is the very node that it refers to.
    """

    value: Any
    place: Place
    keys: dict[str, Place]
    size: int = 1
    """Nodes below and including it, each alias counted in full."""

    def get(self, key: str) -> Node | None:
        """The member of a mapping; None where there is none, or where this is no mapping."""
        found = self.value.get(key) if isinstance(self.value, dict) else None
        return found if isinstance(found, Node) else None

    def plain(self) -> Any:
        """As JSON would give it. Nodes that stand in several places become one value."""
        return _plain(self, {})


def _plain(node: Node, known: dict[int, Any]) -> Any:
    value = node.value
    if not isinstance(value, dict | list):
        return value
    if id(node) not in known:
        if isinstance(value, dict):
            known[id(node)] = {key: _plain(child, known) for key, child in value.items()}
        else:
            known[id(node)] = [_plain(child, known) for child in value]
    return known[id(node)]


# spec.allow[0].targets[1], metadata.annotations[apostille.dev/plan]
_STEP = re.compile(r"\.?([^.\[\]]+)|\[([^\]]*)\]")


def locate(root: Node, path: str) -> Place:
    """Where a field stands; of one that is not there the nearest that is."""
    node, place = root, root.place
    for match in _STEP.finditer(path):
        step = match[1] if match[1] is not None else match[2]
        value = node.value
        if isinstance(value, dict) and step in value:
            child = value[step]
            place = node.keys.get(step, child.place) if isinstance(child.value, dict | list) else child.place
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            child = value[int(step)]
            place = child.place
        else:
            break
        node = child
    return place
