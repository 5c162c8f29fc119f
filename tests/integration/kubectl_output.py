"""What kubectl prints, read back: tables of ``get``, documentation of ``explain``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence


def tables(output: str) -> Iterator[tuple[str, dict[str, str]]]:
    """(first cell, column → cell) of every row, over all tables of an output."""
    for block in re.split(r"\n\s*\n", output.strip()):
        header, *rows = block.splitlines()
        starts = [match.start() for match in re.finditer(r"(?<!\S)\S", header)]
        ends: Sequence[int | None] = [*starts[1:], None]
        for row in rows:
            cells = [row[start:end].strip() for start, end in zip(starts, ends, strict=True)]
            titles = [header[start:end].strip() for start, end in zip(starts, ends, strict=True)]
            yield cells[0], dict(zip(titles, cells, strict=True))


def explained(output: str) -> dict[str, tuple[str, str]]:
    """Field → (type, description) of what ``kubectl explain`` prints about an object."""
    _, _, fields = output.partition("FIELDS:\n")
    found: dict[str, tuple[str, str]] = {}
    name = ""
    for line in fields.splitlines():
        if (heading := re.fullmatch(r"  (\S+)\t<(\S+)>.*", line)) is not None:
            name = heading[1]
            found[name] = (heading[2], "")
        elif line.startswith("    ") and name and not line.strip().startswith("enum:"):
            kind, text = found[name]
            found[name] = (kind, f"{text} {line.strip()}".strip())
    return found
