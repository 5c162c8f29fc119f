"""The part of CEL that attribute mappings and conditions are made of; whatever else is met cannot be judged.

Common Expression Language, language definition: operators, ``in``, ``has()``, selection, indexing and the text
functions startsWith, endsWith, contains, size. ``&&`` and ``||`` absorb an error on one side where the other decides.
Google's own functions (extract, split, join) and regular expressions, which are RE2's, are not part of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MAX_EXPRESSION = 4096  # characters of an attribute condition (cloud-trust §4.1)
_MAX_DEPTH = 64

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')|(?P<number>[0-9]+)(?![.\w])
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>&&|\|\||==|!=|<=|>=|[-+!<>()\[\],.?:{}*/%]))""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"', "`": "`", "?": "?"}

Value = Any
Scope = Mapping[str, Value]
Node = Callable[[Scope], Value]


class CannotJudge(ValueError):
    """An expression outside of what is known here: neither true nor false may be concluded."""


class CELError(Exception):
    """What CEL calls an error, such as a claim that is not there: the exchange is refused."""


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression."""

    source: str
    _node: Node

    def value(self, scope: Scope) -> Value:
        """Raises CELError; CannotJudge for what shows only when it is evaluated."""
        return self._node(scope)

    def holds(self, scope: Scope) -> bool:
        """Whether it is true: an error and anything but a boolean are not."""
        try:
            return self._node(scope) is True
        except CELError:
            return False


def parse(source: str) -> Expression:
    """Raises CannotJudge for what is not known here, syntax errors included."""
    reader = _Reader(source)
    node = reader.ternary()
    if reader.kind:
        raise CannotJudge(f"{reader.told} is not expected in {source!r}")
    return Expression(source, node)


def text(value: str) -> str:
    """A string as a literal."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


class _Reader:
    """Recursive descent over CEL's grammar (cel-spec, "Syntax")."""

    def __init__(self, source: str) -> None:
        self._source, self._at, self._depth = source, 0, 0
        self.kind, self.told = "", ""
        self._next()

    def _next(self) -> None:
        match = _TOKEN.match(self._source, self._at)
        if match is None:
            if self._source[self._at :].strip():
                raise CannotJudge(f"{self._source[self._at :].strip()[:20]!r} is not understood")
            self.kind, self.told = "", ""
            return
        self._at = match.end()
        self.kind = str(match.lastgroup)
        self.told = str(match[self.kind])

    def _is(self, *signs: str) -> bool:
        return self.kind == "sign" and self.told in signs

    def _take(self, sign: str) -> None:
        if not self._is(sign):
            raise CannotJudge(f"{sign} is missing in {self._source!r}")
        self._next()

    def ternary(self) -> Node:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise CannotJudge("the expression is nested too deep")
        condition = self._logical("||", lambda: self._logical("&&", self._relation))
        if self._is("?"):
            self._next()
            yes = self.ternary()
            self._take(":")
            no = self.ternary()
            condition = _conditional(condition, yes, no)
        self._depth -= 1
        return condition

    def _logical(self, sign: str, operand: Callable[[], Node]) -> Node:
        node = operand()
        while self._is(sign):
            self._next()
            node = _junction(node, operand(), decides=sign == "||")
        return node

    def _relation(self) -> Node:
        node = self._sum()
        while self._is("==", "!=") or (self.kind == "name" and self.told == "in"):
            operator = self.told
            self._next()
            node = _compared(operator, node, self._sum())
        if self._is("<", ">", "<=", ">="):
            raise CannotJudge(f"{self.told} is not judged")
        return node

    def _sum(self) -> Node:
        node = self._unary()
        while self._is("+"):
            self._next()
            node = _joined(node, self._unary())
        if self._is("-", "*", "/", "%"):
            raise CannotJudge(f"{self.told} is not judged")
        return node

    def _unary(self) -> Node:
        negations = 0
        while self._is("!"):
            self._next()
            negations += 1
        node = self._member()
        for _ in range(negations):
            node = _negated(node)
        return node

    def _member(self) -> Node:
        node = self._primary()
        while self._is(".", "["):
            dot = self._is(".")
            self._next()
            if not dot:
                node = _indexed(node, self.ternary())
                self._take("]")
                continue
            if self.kind != "name":
                raise CannotJudge(f"a name is missing in {self._source!r}")
            name = self.told
            self._next()
            node = _called(name, node, self._arguments()) if self._is("(") else _selected(node, name)
        return node

    def _arguments(self) -> list[Node]:
        self._take("(")
        return self._listed(")")

    def _listed(self, end: str) -> list[Node]:
        nodes: list[Node] = []
        while not self._is(end):
            nodes.append(self.ternary())
            if not self._is(end):
                self._take(",")
        self._next()
        return nodes

    def _primary(self) -> Node:
        kind, told = self.kind, self.told
        if self._is("("):
            self._next()
            node = self.ternary()
            self._take(")")
            return node
        if self._is("["):
            self._next()
            return _list(self._listed("]"))
        if kind not in ("text", "number", "name"):
            raise CannotJudge(f"{told or 'the end'} is not expected in {self._source!r}")
        self._next()
        if kind == "text":
            return _constant(_unquoted(told))
        if kind == "number":
            return _constant(int(told))
        if told in ("true", "false", "null"):
            return _constant({"true": True, "false": False, "null": None}[told])
        if self._is("("):
            return self._function(told)
        return _variable(told)

    def _function(self, name: str) -> Node:
        arguments = self._arguments()
        if name == "has" and len(arguments) == 1:
            return _has(arguments[0])
        if name == "size" and len(arguments) == 1:
            return _called("size", arguments[0], [])
        raise CannotJudge(f"{name}() is not judged")


def _unquoted(told: str) -> str:
    def escaped(match: re.Match[str]) -> str:
        if match[1] not in _ESCAPES:
            raise CannotJudge(f"the escape {match[0]} is not judged")
        return _ESCAPES[match[1]]

    return re.sub(r"\\(.)", escaped, told[1:-1], flags=re.DOTALL)


def _constant(value: Value) -> Node:
    return lambda scope: value


def _list(nodes: Sequence[Node]) -> Node:
    return lambda scope: [node(scope) for node in nodes]


def _variable(name: str) -> Node:
    def value(scope: Scope) -> Value:
        if name not in scope:
            raise CannotJudge(f"{name} is not known")
        return scope[name]

    return value


class _Selected:
    """``a.b``: apart from others since ``has()`` asks whether it is there."""

    __slots__ = ("name", "of")

    def __init__(self, of: Node, name: str) -> None:
        self.of, self.name = of, name

    def __call__(self, scope: Scope) -> Value:
        return _at(self.of(scope), self.name)


def _selected(of: Node, name: str) -> Node:
    return _Selected(of, name)


def _has(node: Node) -> Node:
    if not isinstance(node, _Selected):
        raise CannotJudge("has() takes a selection such as has(assertion.sub)")
    of, name = node.of, node.name

    def value(scope: Scope) -> bool:
        found = of(scope)
        if not isinstance(found, Mapping):
            raise CELError("has() of what is no map")
        return name in found

    return value


def _indexed(of: Node, index: Node) -> Node:
    return lambda scope: _at(of(scope), index(scope))


def _at(found: Value, key: Value) -> Value:
    if isinstance(found, Mapping) and not isinstance(key, Mapping | list):
        if key not in found:
            raise CELError(f"no such key: {key}")
        return found[key]
    if isinstance(found, list) and type(key) is int:
        if key >= len(found):
            raise CELError(f"index out of bounds: {key}")
        return found[key]
    raise CELError("no such overload")


def _called(name: str, of: Node, arguments: Sequence[Node]) -> Node:
    tests: dict[str, Callable[[str, str], bool]] = {
        "startsWith": str.startswith,
        "endsWith": str.endswith,
        "contains": lambda one, other: other in one,
    }

    def value(scope: Scope) -> Value:
        found = of(scope)
        if name == "size":
            if not isinstance(found, str | list | Mapping):
                raise CELError("no such overload")
            return len(found)
        argument = arguments[0](scope)
        if not isinstance(found, str) or not isinstance(argument, str):
            raise CELError("no such overload")
        return tests[name](found, argument)

    if len(arguments) != (0 if name == "size" else 1) or name not in (*tests, "size"):
        raise CannotJudge(f"{name}() is not judged")
    return value


def _joined(left: Node, right: Node) -> Node:
    def value(scope: Scope) -> Value:
        one, other = left(scope), right(scope)
        if type(one) is not type(other) or not isinstance(one, str | list | int) or isinstance(one, bool):
            raise CELError("no such overload")
        return one + other

    return value


def _compared(operator: str, left: Node, right: Node) -> Node:
    def value(scope: Scope) -> bool:
        one, other = left(scope), right(scope)
        if operator == "in":
            if isinstance(other, Mapping):
                if isinstance(one, Mapping | list):
                    raise CELError("no such overload")
                return one in other
            if not isinstance(other, list):
                raise CELError("no such overload")
            return any(_equal(one, each) for each in other)
        return _equal(one, other) is (operator == "==")

    return value


def _equal(one: Value, other: Value) -> bool:
    # Values of different kinds are unequal (cel-spec, "Equality"); Python would take True for 1.
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _negated(node: Node) -> Node:
    def value(scope: Scope) -> bool:
        found = node(scope)
        if not isinstance(found, bool):
            raise CELError("no such overload")
        return not found

    return value


def _conditional(condition: Node, yes: Node, no: Node) -> Node:
    def value(scope: Scope) -> Value:
        found = condition(scope)
        if not isinstance(found, bool):
            raise CELError("no such overload")
        return yes(scope) if found else no(scope)

    return value


def _junction(left: Node, right: Node, *, decides: bool) -> Node:
    def value(scope: Scope) -> bool:
        errors = []
        for node in (left, right):
            try:
                found = node(scope)
                if not isinstance(found, bool):
                    raise CELError("no such overload")
                if found is decides:
                    return decides
            except CELError as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return not decides

    return value
