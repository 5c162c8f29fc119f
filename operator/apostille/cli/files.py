"""Reads the files that a command is to look at: files as they are named, folders with what may concern us, stdin."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from apostille.lint.text import Problem
from apostille.parties.registry import is_document

STDIN = "stdin"
MAX_FILE = 64 << 20
# Of other files only relying parties' documents: scripts and environments at large are nobody's to read.
_SUFFIXES = (".yaml", ".yml", ".json")
# Folders of examples that are wrong on purpose, as other tools have them: said, and read where they are named.
_TESTDATA = "testdata"
# Of a chart's folder: templates, which are no YAML before they are rendered, and values.
_CHART = "Chart.yaml"


def named(paths: Sequence[str]) -> frozenset[str]:
    """What is meant by itself, under the names that `read` gives."""
    return frozenset(STDIN if path == "-" else path.removeprefix("./") for path in paths)


def read(paths: Sequence[str], notes: list[str], exclude: Sequence[str] = ()) -> Iterator[tuple[str, bytes] | Problem]:
    """Name and content of each file once, in order of names; ``notes`` get what was passed over.

    ``exclude`` are patterns of files and folders that are left out where they are found, not where they are named.
    Raises OSError for a path that is not there.
    """
    seen: set[str] = set()
    for path in paths:
        if path == "-":
            data = sys.stdin.buffer.read(MAX_FILE + 1)
            yield _checked(STDIN, data)
            continue
        for file in _files(path, notes, exclude):
            name = file.removeprefix("./")
            if name not in seen:
                seen.add(name)
                yield _content(name)


def wanted(names: Sequence[str], paths: Sequence[str], exclude: Sequence[str] = ()) -> list[str]:
    """Of names of files under ``paths`` those that `read` would take; ``paths`` themselves may name files."""
    charts = {os.path.dirname(name) for name in names if os.path.basename(name) == _CHART}
    explicit = {os.path.normpath(path) for path in paths}
    folders = [f"{path}/" for path in sorted(explicit, key=len, reverse=True) if path != "."]
    return [name for name in names if os.path.normpath(name) in explicit or _concerns(name, charts, folders, exclude)]


def _concerns(name: str, charts: set[str], named: Sequence[str], exclude: Sequence[str]) -> bool:
    folder, base = os.path.split(name)
    parts = folder.split("/") if folder else []
    start = next((one for one in named if name.startswith(one)), "")
    below = name.removeprefix(start).split("/")
    if any(_passed_over(part) for part in below[:-1]):
        return False
    if any(_excluded(start + "/".join(below[: i + 1]), exclude) for i in range(len(below))):
        return False
    above = ["/".join(parts[:i]) for i in range(len(parts) + 1)]
    if any(one in charts and parts[len(one.split("/")) if one else 0 :][:1] == ["templates"] for one in above):
        return False
    return _named(base) and not (folder in charts and base.startswith("values"))


def _passed_over(folder: str) -> bool:
    return folder.startswith(".") or folder in ("node_modules", _TESTDATA)


def _excluded(path: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(path, pattern) or fnmatchcase(path, f"*/{pattern}") for pattern in patterns)


def _named(base: str) -> bool:
    known = base.endswith(_SUFFIXES) or is_document(base)
    return known and not base.startswith(".") and base != "values.schema.json"


def _files(path: str, notes: list[str], exclude: Sequence[str]) -> Iterator[str]:
    if not os.path.isdir(path):
        os.stat(path)
        yield path
        return
    charts, examples = 0, []
    for folder, folders, names in os.walk(path, onerror=_raised):
        folders[:] = [one for one in folders if not _excluded(os.path.join(folder, one), exclude)]
        examples += [os.path.join(folder, one).removeprefix("./") for one in folders if one == _TESTDATA]
        folders[:] = sorted(one for one in folders if not _passed_over(one))
        if _CHART in names:
            charts += "templates" in folders
            folders[:] = [one for one in folders if one != "templates"]
            names = [name for name in names if not name.startswith("values")]
        for name in sorted(names):
            if _named(name) and not _excluded(file := os.path.join(folder, name), exclude):
                yield file
    if charts:
        notes.append(
            f"{charts} Helm chart{'s'[: charts != 1]} under {path}: templates are not read; render them first (helm "
            "template … | apostille lint -)"
        )
    if examples:
        notes.append(f"not read: {', '.join(sorted(examples))}; name a folder of test data to have it judged")


def _raised(error: OSError) -> None:
    raise error


def _content(name: str) -> tuple[str, bytes] | Problem:
    path = Path(name)
    if not path.is_file():
        return Problem(name, 0, 0, "not a regular file")
    if path.stat().st_size > MAX_FILE:
        return _checked(name, b"", too_large=True)
    return name, path.read_bytes()


def _checked(name: str, data: bytes, *, too_large: bool = False) -> tuple[str, bytes] | Problem:
    if too_large or len(data) > MAX_FILE:
        return Problem(name, 0, 0, f"more than {MAX_FILE >> 20} MiB")
    return name, data
