"""Documents of relying parties, whoever wrote them: read by the parties themselves, and judged by their rules.

They are found together: the documents of one trust in one folder, or in one ConfigMap as the controller writes it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

from apostille.lint.nodes import Node, Place, locate
from apostille.lint.objects import Object
from apostille.lint.report import Result
from apostille.model.finding import Finding
from apostille.model.names import ACCESS_PREFIX
from apostille.parties.party import form_of
from apostille.parties.registry import PARTIES, standing_alone

# Native documents that are JSON are read as YAML too, for their lines.
NOT_YAML = (".env",)
_NATIVE = (".json", *NOT_YAML)
# One document alone, such as any config.json, says too little to be taken for a party's.
_LEAST = 2

Where = Callable[[str, str], tuple[str, Place]]


def is_native(file: str) -> bool:
    """Whether a file may be a party's document."""
    return file.endswith(_NATIVE) and form_of(file) == "native"


def results(files: Mapping[str, str], roots: Mapping[str, Node], objects: Iterable[Object]) -> Iterator[Result]:
    """Findings on the documents of files, folder by folder, and of rendered ConfigMaps; ``roots`` are their trees."""
    folders: dict[str, dict[str, str]] = {}
    for path, text in files.items():
        folder, name = posixpath.split(path)
        folders.setdefault(folder, {})[name] = text
    for folder, documents in sorted(folders.items()):

        def in_folder(name: str, field: str, folder: str = folder) -> tuple[str, Place]:
            path = posixpath.join(folder, name)
            return path, locate(roots[path], field) if path in roots else Place(1, 1)

        yield from _judged(documents, in_folder, folder or ".")
    for path, root in sorted(roots.items()):
        yield from _alone(path, root)
    for one in objects:
        data = one.raw.get("data")
        if one.kind != "ConfigMap" or not one.name.startswith(ACCESS_PREFIX) or not isinstance(data, Mapping):
            continue
        native = {str(name): str(text) for name, text in data.items() if form_of(str(name)) == "native"}

        def in_object(name: str, field: str, one: Object = one) -> tuple[str, Place]:
            return one.file, _member(one, name)

        yield from _judged(native, in_object, one.label)


def _judged(documents: Mapping[str, str], where: Where, about: str) -> Iterator[Result]:
    for party in PARTIES:
        try:
            access = party.parse(documents)
            known = set(party.render(access, "native")) & set(documents)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # not this party's
        if len(known) >= _LEAST:
            for finding in party.document_findings(access):
                yield _result(finding, documents, where, about)


def _alone(path: str, root: Node) -> Iterator[Result]:
    """A document that says enough by itself, such as a trust policy."""
    for party, documents, field in standing_alone(root.plain()):
        try:
            found = list(party.document_findings(party.parse(documents)))
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # it only looks like one
        for finding in found:
            inner = finding.path.partition(":")[2]
            if inner.startswith(field):
                shown = inner.removeprefix(field).removeprefix(".")
                yield Result(replace(finding, path=shown), path, locate(root, shown), f"document {path}")


def _result(finding: Finding, documents: Mapping[str, str], where: Where, about: str) -> Result:
    name, separator, field = finding.path.partition(":")
    if not separator or name not in documents:
        name, field = min(documents), ""
    file, place = where(name, field)
    return Result(finding, file, place, about)


def _member(one: Object, name: str) -> Place:
    data = one.root.get("data")
    return data.keys.get(name, data.place) if data is not None else one.root.place
