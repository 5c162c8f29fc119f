"""CEL as far as documents here use it, judged by rewriting it to Python's syntax tree (cel-spec, language definition).

Deliberately another way than the product's reader, so that one shows the other's mistakes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

_PIECES = re.compile(
    r"""(?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<sign>&&|\|\||!(?!=))|(?P<rest>.)""", re.DOTALL
)
# CEL's ! binds tighter than ==, as Python's ~ does and its `not` does not.
_SIGNS = {"&&": " and ", "||": " or ", "!": "~"}
_SYNTAX = (
    ast.BoolOp, ast.UnaryOp, ast.Compare, ast.BinOp, ast.Call, ast.Attribute, ast.Subscript, ast.Name, ast.List,
    ast.Constant, ast.And, ast.Or, ast.Invert, ast.Eq, ast.NotEq, ast.In, ast.Add, ast.Load,
)  # fmt: skip
_CONSTANTS = {"true": True, "false": False, "null": None}


class Unsupported(ValueError):
    """An expression that this judge cannot hold: it is refused when a provider is written."""


class EvaluationError(Exception):
    """CEL's error, such as a missing key."""


class Expression:
    """A compiled expression. Raises Unsupported."""

    def __init__(self, source: str, names: frozenset[str]) -> None:
        if "?" in re.sub(r"'[^']*'|\"[^\"]*\"", "", source):
            raise Unsupported("conditional expressions")
        written = "".join(_SIGNS[match[0]] if match["sign"] else match[0] for match in _PIECES.finditer(source))
        try:
            self._tree = ast.parse(written.strip(), mode="eval").body
        except SyntaxError as error:
            raise Unsupported(f"syntax: {error.msg}") from None
        self._names = names
        for node in ast.walk(self._tree):
            self._known(node)

    def _known(self, node: ast.AST) -> None:
        if not isinstance(node, _SYNTAX) or (isinstance(node, ast.Compare) and len(node.ops) != 1):
            raise Unsupported(type(node).__name__)
        if isinstance(node, ast.Constant) and not isinstance(node.value, str | int):
            raise Unsupported("a literal of another kind")
        if isinstance(node, ast.Name) and node.id not in (*self._names, *_CONSTANTS, "has", "size"):
            raise Unsupported(f"undeclared reference to {node.id!r}")

    def value(self, scope: Mapping[str, Any]) -> Any:
        """Raises EvaluationError."""
        return _value(self._tree, scope)


def _value(node: ast.AST, scope: Mapping[str, Any]) -> Any:
    if isinstance(node, ast.BoolOp):
        return _junction(node, scope)
    if isinstance(node, ast.UnaryOp):
        return not _boolean(_value(node.operand, scope))
    if isinstance(node, ast.Compare):
        return _compare(node, scope)
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, scope), _value(node.right, scope)
        if type(left) is not type(right) or type(left) not in (str, list, int):
            raise EvaluationError("no such overload")
        return left + right
    if isinstance(node, ast.Call):
        return _call(node, scope)
    if isinstance(node, ast.Attribute):
        return _member(_value(node.value, scope), node.attr)
    if isinstance(node, ast.Subscript):
        return _member(_value(node.value, scope), _value(node.slice, scope))
    if isinstance(node, ast.List):
        return [_value(one, scope) for one in node.elts]
    if isinstance(node, ast.Name):
        return _CONSTANTS[node.id] if node.id in _CONSTANTS else scope[node.id]
    assert isinstance(node, ast.Constant)
    return node.value


def _junction(node: ast.BoolOp, scope: Mapping[str, Any]) -> bool:
    # "Logical operators": commutative; an error on one side is absorbed where the other decides.
    decides = isinstance(node.op, ast.Or)
    failed: EvaluationError | None = None
    for operand in node.values:
        try:
            if _boolean(_value(operand, scope)) is decides:
                return decides
        except EvaluationError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return not decides


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise EvaluationError("no such overload")
    return value


def _compare(node: ast.Compare, scope: Mapping[str, Any]) -> bool:
    left, right = _value(node.left, scope), _value(node.comparators[0], scope)
    if isinstance(node.ops[0], ast.In):
        if isinstance(right, Mapping) and isinstance(left, str | int):
            return left in right
        if not isinstance(right, list):
            raise EvaluationError("no such overload")
        return any(type(left) is type(one) and left == one for one in right)
    equal = type(left) is type(right) and left == right
    return equal if isinstance(node.ops[0], ast.Eq) else not equal


def _member(of: Any, key: Any) -> Any:
    if isinstance(of, Mapping) and isinstance(key, str):
        if key in of:
            return of[key]
    elif isinstance(of, list) and type(key) is int and 0 <= key < len(of):
        return of[key]
    raise EvaluationError(f"no such key: {key}")


def _call(node: ast.Call, scope: Mapping[str, Any]) -> Any:
    called = node.func
    if isinstance(called, ast.Name) and called.id == "has" and len(node.args) == 1:
        (asked,) = node.args
        if not isinstance(asked, ast.Attribute):
            raise EvaluationError("has() needs a selection")
        of = _value(asked.value, scope)
        return isinstance(of, Mapping) and asked.attr in of
    if isinstance(called, ast.Name) and called.id == "size" and len(node.args) == 1:
        return len(_value(node.args[0], scope))
    if isinstance(called, ast.Attribute) and called.attr in ("startsWith", "endsWith", "contains"):
        of, given = _value(called.value, scope), _value(node.args[0], scope)
        if not isinstance(of, str) or not isinstance(given, str):
            raise EvaluationError("no such overload")
        if called.attr == "contains":
            return given in of
        return of.startswith(given) if called.attr == "startsWith" else of.endswith(given)
    raise EvaluationError("no such function")
