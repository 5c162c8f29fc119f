"""YAML and JSON as it comes: any bytes, bounded work, and for what is wrong the line.

Built from the parser's events, without recursion and without expanding aliases, so that neither depth nor a
"billion laughs" costs anything. Scalars are what Kubernetes takes them for (sigs.k8s.io/yaml: YAML 1.1, no dates).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from apostille.lint.nodes import Node, Place

# etcd takes no request over 1.5 MiB, so no object is larger; a List may hold a few.
MAX_DOCUMENT = 2 << 20
MAX_DEPTH, MAX_NODES = 100, 200_000

_MARKER = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y"})
_FALSE = frozenset({"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N"})
_INTEGER = re.compile(r"[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|[1-9][0-9_]*|0)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LONGEST_NUMBER = 64
_QUOTED = ("'", '"', "|", ">")
# JSON writes characters beyond U+FFFF as two escapes, which YAML does not know.
_SURROGATES = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")


@dataclass(frozen=True, slots=True)
class Problem:
    """What cannot be read, and where. ``line`` is 0 for a file as such."""

    file: str
    line: int
    column: int
    message: str


class _Unreadable(Exception):
    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line, self.column, self.message = line, column, message


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file."""

    file: str
    root: Node


def decode(file: str, data: bytes) -> str | Problem:
    """The text of a file; it must be UTF-8, with or without a byte-order mark."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        what = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else f"byte 0x{data[error.start]:02x}"
        return Problem(file, line, 1, f"not UTF-8 ({what}); save the file as UTF-8")


def documents(file: str, text: str) -> Iterator[Document | Problem]:
    """The documents of a text. What is wrong with one does not hide the others."""
    starts = [0, *(match.end() for match in _MARKER.finditer(text))]
    ends = [*(match.start() for match in _MARKER.finditer(text)), len(text)]
    line = 1
    at = 0
    for start, end in zip(starts, ends, strict=True):
        line += text.count("\n", at, start)
        at = start
        yield from _part(file, text[start:end], line)


def too_large(file: str, text: str, first: int = 1) -> Problem | None:
    """Whether a document, that begins in this line, is larger than any can be."""
    if len(text) <= MAX_DOCUMENT:
        return None
    size = f"{len(text) / (1 << 20):.1f} MiB"
    most = f"no object in Kubernetes has over {MAX_DOCUMENT >> 20} MiB"
    return Problem(file, first, 1, f"a document of {size}, and {most}; split it, or --exclude it")


def _part(file: str, text: str, first: int) -> Iterator[Document | Problem]:
    if (problem := too_large(file, text, first)) is not None:
        yield problem
        return
    try:
        for root in _Builder(text, first).roots():
            yield Document(file, root)
    except _Unreadable as error:
        yield Problem(file, error.line, error.column, error.message)


class _Builder:
    def __init__(self, text: str, first: int) -> None:
        if text.lstrip()[:1] in ("{", "["):
            text = _SURROGATES.sub(_joined, text)
        # A directive stands before the marker at which the text was divided.
        self._text = re.sub(r"(?m)\A((?:[ \t]*(?:#.*)?\n)*)%.*$", r"\1", text)
        self._first = first
        self._anchors: dict[str, Node | None] = {}
        self._count = 0

    def roots(self) -> Iterator[Node]:
        """Raises _Unreadable."""
        stack: list[tuple[Node, str | None]] = []  # the collection, and the name it is known by
        pending: list[tuple[str, Place] | None] = []  # of each mapping the key that waits for its value
        try:
            for event in yaml.parse(self._text, Loader=yaml.CSafeLoader):
                if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
                    if len(stack) >= MAX_DEPTH:
                        raise self._error(event, f"nested deeper than {MAX_DEPTH} levels")
                    if event.anchor:
                        self._anchors[event.anchor] = None
                    mapping = isinstance(event, yaml.MappingStartEvent)
                    stack.append((self._node(event, {} if mapping else []), event.anchor))
                    pending.append(None)
                    continue
                if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
                    node, anchor = stack.pop()
                    pending.pop()
                    self._finish(event, node)
                elif isinstance(event, yaml.ScalarEvent):
                    node, anchor = self._node(event, _scalar(event)), event.anchor
                elif isinstance(event, yaml.AliasEvent):
                    node, anchor = self._alias(event), None
                else:
                    if isinstance(event, yaml.DocumentStartEvent):
                        self._anchors, self._count = {}, 0
                    continue
                if anchor:
                    self._anchors[anchor] = node
                if not stack:
                    if not (node.value is None and isinstance(event, yaml.ScalarEvent)):
                        yield node
                    continue
                self._add(event, stack[-1][0], pending, node)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line, mark.column) if mark is not None else (0, 0)
            said = str(error.problem or error.context or "not YAML")
            raise _Unreadable(self._first + line, column + 1, f"not YAML: {said}{self._hint(line)}") from None
        except yaml.YAMLError as error:
            at = getattr(error, "position", 0)
            line = self._text.count("\n", 0, at if isinstance(at, int) else 0)
            reason = str(getattr(error, "reason", "not YAML"))
            raise _Unreadable(self._first + line, 1, f"not YAML: {reason}") from None
        except ValueError as error:
            raise _Unreadable(self._first, 1, f"not YAML: {error}") from None

    def _hint(self, line: int) -> str:
        near = "".join(self._text.splitlines()[max(0, line - 1) : line + 1])
        hint = "; this is a template: render it first (helm template … | apostille lint -)"
        return hint if "{{" in near else ""

    def _place(self, event: Any) -> Place:
        start, end = event.start_mark, event.end_mark
        width = end.column - start.column if end.line == start.line else 1
        return Place(self._first + start.line, start.column + 1, max(1, width))

    def _node(self, event: Any, value: Any) -> Node:
        self._grow(event, 1)
        return Node(value, self._place(event), {})

    def _grow(self, event: Any, by: int) -> None:
        self._count += by
        if self._count > MAX_NODES:
            raise self._error(event, f"more than {MAX_NODES:,} values, aliases counted in full")

    def _alias(self, event: Any) -> Node:
        node = self._anchors.get(event.anchor)
        if node is None:
            known = event.anchor in self._anchors
            raise self._error(event, f"*{event.anchor} {'refers to itself' if known else 'refers to nothing'}")
        self._grow(event, node.size)
        return node

    def _add(self, event: Any, parent: Node, pending: list[tuple[str, Place] | None], node: Node) -> None:
        if isinstance(parent.value, list):
            parent.value.append(node)
            parent.size += node.size
            return
        waiting = pending[-1]
        if waiting is None:
            pending[-1] = (self._key(event, node), node.place)
            return
        pending[-1] = None
        key, place = waiting
        parent.size += node.size
        if key in parent.value:
            raise _Unreadable(
                place.line, place.column, f"the key {key!r} stands there twice, first in line {parent.keys[key].line}"
            )
        parent.value[key] = node
        parent.keys[key] = place

    def _key(self, event: Any, node: Node) -> str:
        if isinstance(node.value, dict | list):
            raise self._error(event, "a key must be a plain value")
        # Of `on:` and `1:` Kubernetes makes keys "true" and "1".
        return node.value if isinstance(node.value, str) else _json_key(node.value)

    def _finish(self, event: Any, node: Node) -> None:
        """Merges what `<<` names (YAML 1.1 merge keys): what stands there itself wins."""
        if not isinstance(node.value, dict) or "<<" not in node.value:
            return
        merged = node.value.pop("<<")
        node.keys.pop("<<", None)
        for source in merged.value if isinstance(merged.value, list) else [merged]:
            if not isinstance(source.value, dict):
                raise self._error(event, "<<: only mappings can be merged")
            self._grow(event, source.size)
            node.size += source.size
            for key, child in source.value.items():
                if key not in node.value:
                    node.value[key], node.keys[key] = child, source.keys[key]

    def _error(self, event: Any, message: str) -> _Unreadable:
        place = self._place(event)
        return _Unreadable(place.line, place.column, message + self._hint(event.start_mark.line))


def _joined(pair: re.Match[str]) -> str:
    high, low = int(pair[1], 16), int(pair[2], 16)
    return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))


def _json_key(value: Any) -> str:
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _scalar(event: Any) -> Any:
    text: str = event.value
    if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
        return _tagged(event.tag, text)
    if event.tag is not None or event.style in _QUOTED:
        return text
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    # Numbers of any length are somebody's joke, and quadratic work.
    if len(text) <= _LONGEST_NUMBER:
        if _INTEGER.fullmatch(text):
            return _integer(text)
        if _FLOAT.fullmatch(text):
            return float(text)
    return text


def _tagged(tag: str, text: str) -> Any:
    kind = tag.removeprefix("tag:yaml.org,2002:")
    if kind == "null":
        return None
    if kind == "bool":
        return text in _TRUE
    if kind == "int" and len(text) <= _LONGEST_NUMBER and _INTEGER.fullmatch(text):
        return _integer(text)
    if kind == "float" and len(text) <= _LONGEST_NUMBER and _FLOAT.fullmatch(text):
        return float(text)
    return text


def _integer(text: str) -> int:
    bare = text.replace("_", "").lower()
    sign = -1 if bare.startswith("-") else 1
    digits = bare.lstrip("+-")
    if digits.startswith(("0x", "0b", "0o")):
        return sign * int(digits, 0)
    # A leading zero is octal in YAML 1.1.
    return sign * (int(digits, 8) if len(digits) > 1 and digits.startswith("0") else int(digits))
