"""``charts/apostille/README.md``: every value with its type, its default, and what values.yaml says of it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from apostille_generate.markdown import NOTE, code, table

_CHART = Path("charts/apostille")
# What Kubernetes defines is documented there.
_WHOLE = ("resources",)
_KEY = re.compile(r"^( *)([A-Za-z]\w*):(.*)$")


class UndocumentedValue(ValueError):
    """A value without a comment above it; the message names it."""


@dataclass(frozen=True, slots=True)
class Value:
    """A key of values.yaml; ``group`` where other documented keys are below it."""

    path: tuple[str, ...]
    says: str
    default: Any
    group: bool


def files(root: Path) -> dict[str, str]:
    """Path to text. Raises UndocumentedValue."""
    text = (root / _CHART / "values.yaml").read_text()
    schema = json.loads((root / _CHART / "values.schema.json").read_text())
    page = (root / _CHART / "README.in.md").read_text()
    return {str(_CHART / "README.md"): NOTE + page.replace("<!-- values -->\n", _tables(documented(text), schema))}


def documented(text: str) -> list[Value]:
    """Every key of values.yaml, parents first. Raises UndocumentedValue."""
    defaults = yaml.safe_load(text)
    found: list[Value] = []
    comment: list[str] = []
    path: list[str] = []
    opaque = -1
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").strip())
        elif not stripped:
            comment = []
        elif key := _KEY.match(line):
            depth = len(key[1]) // 2
            if opaque >= 0 and depth > opaque:
                continue  # inside of a default that is documented as a whole
            path = [*path[:depth], key[2]]
            value = _at(defaults, path)
            group = not key[3].split("#")[0].strip() and isinstance(value, dict) and path[-1] not in _WHOLE
            opaque = depth if not group else -1
            if not comment and not group:
                raise UndocumentedValue(f"{'.'.join(path)} has no comment in values.yaml")
            found.append(Value(tuple(path), " ".join(comment), value, group))
            comment = []
    return found


def _at(values: Any, path: list[str]) -> Any:
    for key in path:
        values = values[key]
    return values


def _tables(values: list[Value], schema: Mapping[str, Any]) -> str:
    """A table for each key of the first level that has others below it, one for the rest."""
    plain = [value for value in values if len(value.path) == 1 and not value.group]
    text = _table(plain, schema)
    for group in [value for value in values if len(value.path) == 1 and value.group]:
        below = [value for value in values if value.path[0] == group.path[0]]
        about = "".join(f"{value.says}\n\n" for value in below if value.group and value.says)
        text += f"\n### {group.path[0]}\n\n{about}" + _table([value for value in below if not value.group], schema)
    return text


def _table(values: list[Value], schema: Mapping[str, Any]) -> str:
    rows = [
        (
            code(".".join(value.path)),
            _type(_schema(schema, value.path), schema),
            code(json.dumps(value.default)),
            value.says,
        )
        for value in values
    ]
    return table(("Value", "Type", "Default", "What it does"), rows)


def _schema(schema: Mapping[str, Any], path: tuple[str, ...]) -> Mapping[str, Any]:
    node = schema
    for key in path:
        node = node["properties"][key]
    return node


def _type(node: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    while "$ref" in node:
        node = schema["definitions"][node["$ref"].rpartition("/")[2]]
    if "enum" in node:
        return ", ".join(code(str(value)) for value in node["enum"])
    if node["type"] == "array":
        return "list"
    limits = [str(node[key]) for key in ("minimum", "maximum") if key in node]
    return str(node["type"]) + (f", {' to '.join(limits)}" if len(limits) == 2 else "")
