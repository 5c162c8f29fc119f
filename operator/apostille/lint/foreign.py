"""Documents of relying parties, whoever wrote them: read by the parties themselves, and judged by their rules.

They are found together: the documents of one trust in one folder, or in one ConfigMap as the controller writes it.
"""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from apostille.lint import published, strangers
from apostille.lint.nodes import Node, Place, locate
from apostille.lint.objects import Object
from apostille.lint.report import Result
from apostille.lint.rules import NOT_ASKED, OF_ANOTHER
from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.model.names import ACCESS_PREFIX
from apostille.parties.party import Party, form_of
from apostille.parties.registry import PARTIES, judged_alone, owner, standing_alone

# Native documents that are JSON are read as YAML too, for their lines.
NOT_YAML = (".env", ".sql")
_NATIVE = (".json", *NOT_YAML)
# One document alone in which nothing is accepted, such as any config.json, says too little to be taken for a party's.
_LEAST = 2
# What reading somebody else's JSON by a party's form may end in.
_NOT_THIS_ONE = (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError)

Where = Callable[[str, str], tuple[str, Place]]


def is_native(file: str) -> bool:
    """Whether a file may be a party's document."""
    return file.endswith(_NATIVE) and form_of(file) == "native"


def results(
    files: Mapping[str, str], roots: Mapping[str, Node], objects: Iterable[Object], issuer: Issuer | None = None
) -> Iterator[Result]:
    """Findings on the documents of files, folder by folder, and of rendered ConfigMaps; ``roots`` are their trees.

    ``issuer`` is the cluster's, where it is known.
    """
    together: set[str] = set()
    folders: dict[str, dict[str, str]] = {}
    for path, text in files.items():
        folder, name = posixpath.split(path)
        folders.setdefault(folder, {})[name] = text
    for folder, documents in sorted(folders.items()):

        def in_folder(name: str, field: str, folder: str = folder) -> tuple[str, Place]:
            path = posixpath.join(folder, name)
            return path, locate(roots[path], field) if path in roots else Place(1, 1)

        for known, found in _judged(documents, in_folder, folder or ".", issuer):
            together |= {posixpath.join(folder, name) for name in known}
            yield from found
    for path, root in sorted(roots.items()):
        if path not in together:
            yield from _alone(path, root, issuer)
    for one in objects:
        data = one.raw.get("data")
        if one.kind != "ConfigMap" or not one.name.startswith(ACCESS_PREFIX) or not isinstance(data, Mapping):
            continue
        native = {str(name): str(text) for name, text in data.items() if form_of(str(name)) == "native"}

        def in_object(name: str, field: str, one: Object = one) -> tuple[str, Place]:
            return one.file, _member(one, name)

        for _, found in _judged(native, in_object, one.label, issuer):
            yield from found


def _judged(
    documents: Mapping[str, str], where: Where, about: str, issuer: Issuer | None
) -> Iterator[tuple[set[str], list[Result]]]:
    """For each party whose documents are among these: which they are, and what is found."""
    for party in PARTIES:
        try:
            access = party.parse(documents)
            known = set(party.render(access, "native")) & set(documents)
            if len(known) < _LEAST and not any(party.acceptances(access)):
                continue
            found = _findings(party, access, {name: documents[name] for name in known}, issuer)
        except _NOT_THIS_ONE:
            continue
        yield known, [_result(finding, documents, where, about) for finding in found]


def _alone(path: str, root: Node, issuer: Issuer | None) -> Iterator[Result]:
    """A document that says enough by itself, such as a trust policy."""
    document = root.plain()
    for finding in (*published.alone(document, issuer), *judged_alone(document)):
        told = replace(finding, path=finding.path.removeprefix("."))
        yield Result(told, path, locate(root, told.path), f"document {path}")
    for party, documents, field in standing_alone(document):
        try:
            found = _findings(party, party.parse(documents), documents, issuer)
        except _NOT_THIS_ONE:
            continue
        for finding in found:
            inner = finding.path.partition(":")[2]
            if not inner or inner.startswith(field):
                shown = inner.removeprefix(field).removeprefix(".")
                yield Result(replace(finding, path=shown), path, locate(root, shown), f"document {path}")


def _findings(party: Party, access: Any, documents: Mapping[str, str], issuer: Issuer | None) -> list[Finding]:
    """By the party's rules, and by asking about strangers; that it could not is told where nothing else is."""
    told = (party.document_findings(access), published.in_documents(party, access, issuer), _of_another(party, access))
    found = [
        one
        for one in itertools.chain.from_iterable(told)
        # Of a document that is not here, such as a policy that another one names, nothing is known.
        if one.path.partition(":")[0] in documents
    ]
    spoken = {finding.path.partition(":")[0] for finding in found}
    asked = strangers.findings(party, access, documents)
    return [
        *found,
        *(one for one in asked if one.rule is not NOT_ASKED or one.path.removesuffix(":") not in spoken),
    ]


def _of_another(party: Party, access: Any) -> Iterator[Finding]:
    for file, audience in dict.fromkeys((one.file, one.audience) for one in party.acceptances(access)):
        if (found := owner(audience, party.name)) is not None:
            yield OF_ANOTHER.at(f"{file}:", f"it accepts {audience!r}, by which {found[0].vendor} is known")


def _result(finding: Finding, documents: Mapping[str, str], where: Where, about: str) -> Result:
    name, _, field = finding.path.partition(":")
    file, place = where(name, field)
    return Result(finding, file, place, about)


def _member(one: Object, name: str) -> Place:
    data = one.root.get("data")
    return data.keys.get(name, data.place) if data is not None else one.root.place
