"""What containers wrote."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

from apostille_testbed import Node
from node.every_mode.programs.run import MARK


def read(node: Node, namespace: str, which: str) -> Mapping[str, str]:
    """Container to what it wrote; ``which`` is the name of a pod, or a label selector."""
    every = ["--all-containers", "--prefix", "--tail=-1", "--max-log-requests=30"]
    of = f"--selector={which}" if "=" in which else which
    lines = node.kubectl("logs", f"--namespace={namespace}", of, *every, check=False).stdout.splitlines()
    made: dict[str, str] = {}
    for line in lines:
        place, _, text = line.partition("] ")
        name = place.rpartition("/")[2]
        made[name] = f"{made.get(name, '')}{text}\n"
    return made


def said(found: Mapping[str, str], container: str) -> list[str]:
    """What a program said."""
    return [line.removeprefix(MARK) for line in found.get(container, "").splitlines() if line.startswith(MARK)]


def sidecar(found: Mapping[str, str]) -> str:
    """What the one of a pod wrote, which may have been an ordinary init container."""
    return found.get("apostille-exchange") or found.get("apostille-init", "")


def exchanges(found: Mapping[str, str]) -> Counter[str]:
    """Binding to how often the sidecar got a credential for it, or a longer life of one."""
    lines = [json.loads(line) for line in sidecar(found).splitlines() if line.startswith("{")]
    return Counter(line["binding"] for line in lines if line.get("result") in ("Exchanged", "Renewed"))
