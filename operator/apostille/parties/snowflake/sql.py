"""The SQL that sets up workload identities: written, and the same statements read back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_TOKEN = re.compile(r"'(?:[^'\\]|''|\\.)*'|\"[^\"]+\"|[A-Za-z_][A-Za-z0-9_$.]*|[=(),;]|\S")
_COMMENT = re.compile(r"--[^\n]*")

Properties = Mapping[str, Any]


def text(value: str) -> str:
    """A string constant."""
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"


def texts(values: Iterable[str]) -> str:
    """A list of string constants."""
    return f"({', '.join(text(value) for value in values)})"


def statements(script: str) -> Iterator[tuple[tuple[str, ...], Properties]]:
    """Each statement as its words in capitals and its properties, nested ones as mappings. Raises ValueError."""
    tokens = _TOKEN.findall(_uncommented(script))
    start = 0
    for end, found in enumerate(tokens):
        if found == ";":
            yield _statement(tokens[start:end])
            start = end + 1
    if start != len(tokens):
        raise ValueError("the last statement does not end with a semicolon")


def _uncommented(script: str) -> str:
    # Only where no string is open: a quote before the dashes on the line makes them part of one, perhaps.
    return "\n".join(line if "'" in line else _COMMENT.sub("", line) for line in script.split("\n"))


def _statement(tokens: list[str]) -> tuple[tuple[str, ...], Properties]:
    words: list[str] = []
    at = 0
    while at < len(tokens) and not (at + 1 < len(tokens) and tokens[at + 1] == "="):
        words.append(_identifier(tokens[at]))
        at += 1
    properties, at = _properties(tokens, at)
    if at != len(tokens):
        raise ValueError(f"{tokens[at]!r} is not expected")
    return tuple(words), properties


def _properties(tokens: list[str], at: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    while at + 1 < len(tokens) and tokens[at + 1] == "=":
        name = _identifier(tokens[at])
        found[name], at = _value(tokens, at + 2)
        if at < len(tokens) and tokens[at] == ",":
            at += 1
    return found, at


def _value(tokens: list[str], at: int) -> tuple[Any, int]:
    if at >= len(tokens):
        raise ValueError("a value is missing")
    if tokens[at] != "(":
        return _constant(tokens[at]), at + 1
    found: Any
    if at + 2 < len(tokens) and tokens[at + 2] == "=":
        found, at = _properties(tokens, at + 1)
    else:
        found, at = [], at + 1
        while at < len(tokens) and tokens[at] != ")":
            found.append(_constant(tokens[at]))
            at += 2 if at + 1 < len(tokens) and tokens[at + 1] == "," else 1
    if at >= len(tokens) or tokens[at] != ")":
        raise ValueError("a parenthesis is not closed")
    return found, at + 1


def _constant(token: str) -> str:
    if token.startswith("'"):
        return re.sub(r"\\(.)", r"\1", token[1:-1].replace("''", "'"))
    return _identifier(token)


def _identifier(token: str) -> str:
    if token.startswith('"'):
        return token[1:-1]
    if not re.fullmatch(r"[A-Za-z0-9_$.]+", token):
        raise ValueError(f"{token!r} is not expected")
    return token.upper()
