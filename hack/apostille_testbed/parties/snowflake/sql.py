"""Reads the few SQL statements that set up workload identities: words, strings, lists, ``NAME = VALUE`` properties."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*(?:\n|$))
      | (?P<string>'(?:[^'\\]|''|\\.)*')
      | (?P<word>"(?:[^"]|"")+"|[A-Za-z_][A-Za-z0-9_$]*)
      | (?P<number>[0-9]+)
      | (?P<mark>[=(),;.])""",
    re.VERBOSE,
)


class SQLError(Exception):
    """SQL compilation error, as Snowflake calls it (code 001003, 002003 …)."""


@dataclass(frozen=True)
class Statement:
    """``verb``: the words before the first property, names as they are compared; ``properties`` by upper-case name."""

    verb: tuple[str, ...]
    properties: dict[str, Any] = field(default_factory=dict)


class _Word(str):
    """An identifier: upper case unless it was quoted (Snowflake "Identifier requirements")."""

    __slots__ = ()


def statements(text: str) -> Iterator[Statement]:
    """Each statement of a script. Raises SQLError."""
    tokens = list(_tokens(text))
    while tokens:
        end = next((i for i, (kind, value) in enumerate(tokens) if (kind, value) == ("mark", ";")), None)
        if end is None:
            raise SQLError("a statement does not end with a semicolon")
        yield _statement(tokens[:end])
        tokens = tokens[end + 1 :]


def _tokens(text: str) -> Iterator[tuple[str, Any]]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise SQLError(f"syntax error at position {at}")
        at = match.end()
        kind = match.lastgroup
        if kind == "string":
            # In a single-quoted string a quote is doubled, and a backslash escapes (Snowflake "String constants").
            inner = match["string"][1:-1].replace("''", "'")
            yield "string", re.sub(r"\\(.)", r"\1", inner)
        elif kind == "word":
            word = match["word"]
            yield "word", _Word(word[1:-1].replace('""', '"') if word[0] == '"' else word.upper())
        elif kind != "space":
            yield str(kind), match[0]


def _statement(tokens: list[tuple[str, Any]]) -> Statement:
    verb: list[str] = []
    while tokens and not _assigns(tokens):
        kind, value = tokens.pop(0)
        if kind == "mark" and value == "." and verb and tokens and tokens[0][0] == "word":
            verb[-1] = f"{verb[-1]}.{tokens.pop(0)[1]}"
        elif kind == "word":
            verb.append(value)
        else:
            raise SQLError(f"syntax error near {value!r}")
    properties = _properties(tokens)
    if tokens:
        raise SQLError(f"syntax error near {tokens[0][1]!r}")
    return Statement(tuple(verb), properties)


def _assigns(tokens: list[tuple[str, Any]]) -> bool:
    return len(tokens) > 1 and tokens[0][0] == "word" and tokens[1] == ("mark", "=")


def _properties(tokens: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    while _assigns(tokens):
        name = str(tokens[0][1])
        del tokens[:2]
        if name in found:
            raise SQLError(f"duplicate property {name!r}")
        found[name] = _value(tokens)
        if tokens and tokens[0] == ("mark", ",") and _assigns(tokens[1:]):
            tokens.pop(0)
    return found


def _value(tokens: list[tuple[str, Any]]) -> Any:
    if not tokens:
        raise SQLError("unexpected end of statement")
    kind, value = tokens.pop(0)
    if kind in ("string", "word", "number"):
        return value
    if value != "(":
        raise SQLError(f"syntax error near {value!r}")
    inner: Any = _properties(tokens) if _assigns(tokens) else _list(tokens)
    if not tokens or tokens.pop(0) != ("mark", ")"):
        raise SQLError("missing )")
    return inner


def _list(tokens: list[tuple[str, Any]]) -> list[Any]:
    values: list[Any] = []
    while tokens and tokens[0] != ("mark", ")"):
        if values and tokens.pop(0) != ("mark", ","):
            raise SQLError("missing ,")
        values.append(_value(tokens))
    return values
