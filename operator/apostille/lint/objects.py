"""What of a document concerns us: Kubernetes objects, out of Lists too, by kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from apostille.lint.nodes import Node, Place, locate
from apostille.lint.text import Document
from apostille.model import names

WORKLOADS = frozenset(
    {
        "Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob",
        "PodTemplate",
    }
)  # fmt: skip
RELEVANT = frozenset({names.TRUST_KIND, names.BINDING_KIND, "ConfigMap", "Namespace", *WORKLOADS})


@dataclass(frozen=True)
class Object:
    """One object in a file. ``live`` objects come from a cluster and stand in no file."""

    file: str
    root: Node
    live: bool = False

    @cached_property
    def raw(self) -> Mapping[str, Any]:
        """As the API server would hold it."""
        found: Mapping[str, Any] = self.root.plain()
        return found

    @property
    def kind(self) -> str:
        """Its kind."""
        return str(self.raw.get("kind", ""))

    @property
    def name(self) -> str:
        """Its name; that of a generated name with a star."""
        metadata = self._metadata
        return str(metadata.get("name") or f"{metadata.get('generateName', '')}*")

    @property
    def namespace(self) -> str:
        """Empty where none is written."""
        return str(self._metadata.get("namespace") or "")

    @property
    def annotations(self) -> Mapping[str, Any]:
        """Its own."""
        found = self._metadata.get("annotations")
        return found if isinstance(found, Mapping) else {}

    @property
    def label(self) -> str:
        """For people: ``WorkloadBinding payments/s3-reader``."""
        return f"{self.kind} {self.namespace + '/' if self.namespace else ''}{self.name}"

    def place(self, path: str) -> Place:
        """Where a field stands."""
        return locate(self.root, path)

    @property
    def _metadata(self) -> Mapping[str, Any]:
        found = self.raw.get("metadata")
        return found if isinstance(found, Mapping) else {}


def objects(document: Document) -> Iterator[Object]:
    """The objects of a document that concern us; members of a List one by one. Others are not looked into."""
    pending = [document.root]
    while pending:
        root = pending.pop(0)
        kind = root.get("kind")
        if kind is None or not isinstance(kind.value, str) or root.get("apiVersion") is None:
            continue
        items = root.get("items")
        if kind.value.endswith("List") and items is not None and isinstance(items.value, list):
            pending += [item for item in items.value if isinstance(item, Node)]
            continue
        version = root.get("apiVersion")
        ours = kind.value in (names.TRUST_KIND, names.BINDING_KIND)
        if kind.value not in RELEVANT or (ours and not _of_group(version)):
            continue
        yield Object(document.file, root)


def _of_group(version: Node | None) -> bool:
    return version is not None and str(version.value).startswith(f"{names.GROUP}/")


def template(one: Object) -> tuple[Mapping[str, Any], str]:
    """The pod, or the template of pods, of a workload, and the path to its spec."""
    steps = {
        "Pod": [],
        "CronJob": ["spec", "jobTemplate", "spec", "template"],
        "PodTemplate": ["template"],
    }.get(one.kind, ["spec", "template"])
    node: Any = one.raw
    for step in steps:
        node = node.get(step) if isinstance(node, Mapping) else None
    return (node if isinstance(node, Mapping) else {}), ".".join([*steps, "spec"])
