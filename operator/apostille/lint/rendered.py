"""Rendered documents that are kept beside the declarations: whether they are still what these give."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

from apostille.core.access import access
from apostille.core.judge import Context
from apostille.core.resolve import resolve
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.lint.nodes import Place
from apostille.lint.report import Result
from apostille.lint.rules import NOT_CURRENT
from apostille.parties.party import form_of

_TOP = Place(1, 1)


def findings(
    files: Mapping[str, str],
    trusts: Sequence[FederationTrust],
    bindings: Sequence[WorkloadBinding],
    context: Context,
    today: date,
) -> Iterator[Result]:
    """Of folders that bear a trust's name, as ``apostille render NAME --directory …/NAME`` fills them.

    It takes the issuer; without it nothing is said.
    """
    if context.issuer is None:
        return
    folders: dict[str, dict[str, str]] = {}
    for path, text in files.items():
        folder, name = posixpath.split(path)
        folders.setdefault(folder, {})[name] = text
    named = {folder: posixpath.basename(folder) for folder in folders}
    kept = set(named.values())
    if not any(trust.name in kept for trust in trusts):
        return
    world = resolve(trusts, bindings, context, datetime.combine(today, time(), UTC))
    for folder, name in sorted(named.items()):
        trust = world.trusts.get(name)
        if trust is None or not trust.accepted:
            continue
        try:
            wanted = access(trust.trust, world.of_trust(name), context.issuer).files
        except ValueError:
            continue  # said of the trust
        native = {file: text for file, text in wanted.items() if form_of(file) == "native"}
        if native.keys() & folders[folder].keys():
            yield from _compared(folder, folders[folder], native, name)


def _compared(folder: str, have: Mapping[str, str], want: Mapping[str, str], trust: str) -> Iterator[Result]:
    def result(name: str, file: str, message: str) -> Result:
        remedy = f"apostille render {trust} --directory {folder}, and commit what it writes"
        return Result(NOT_CURRENT.at("", message, remedy), posixpath.join(folder, file), _TOP, f"documents of {trust}")

    present = min(want.keys() & have.keys())
    for name in sorted(want):
        if name not in have:
            yield result(
                name, present, f"{name} is missing beside it, which FederationTrust {trust} and its bindings give"
            )
        elif _parsed(name, have[name]) != _parsed(name, want[name]):
            yield result(name, name, f"it is not what FederationTrust {trust} and its bindings give now")
    for name in sorted(have.keys() - want.keys()):
        yield result(name, name, f"nothing in FederationTrust {trust} and its bindings gives it any more")


def _parsed(name: str, text: str) -> Any:
    if name.endswith(".json"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text
