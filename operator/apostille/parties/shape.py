"""The types of what anybody wrote: documents are judged only where each member is what the vendor's API takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

ANYTHING = object()
TEXTS: Any = (str, [str])
"""One text, or a list of them."""

_VALUE: Any = (str, bool, int, float)
_STATEMENT: Any = {
    "Sid": str,
    "Effect": str,
    "Action": TEXTS,
    "NotAction": TEXTS,
    "Resource": TEXTS,
    "NotResource": TEXTS,
    "Principal": (str, {"*": TEXTS}),
    "NotPrincipal": (str, {"*": TEXTS}),
    "Condition": {"*": {"*": (*_VALUE, [_VALUE])}},
}
POLICY: Any = {"Version": str, "Id": str, "Statement": (_STATEMENT, [_STATEMENT])}
"""The policy grammar that AWS brought up and others took over."""


def policy(written: Any, where: str) -> dict[str, Any]:
    """A policy, also where it stands in a text, as APIs take it. Raises ValueError naming the member."""
    if isinstance(written, str):
        try:
            written = json.loads(written)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where}: not a policy ({error!r})") from None
    found: dict[str, Any] = checked(written, POLICY, where)
    return found


_NAMES: dict[Any, str] = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}


def read(files: Mapping[str, str], name: str, shape: Any) -> dict[str, Any]:
    """The one object of a JSON file. Raises ValueError naming the file and, where it has another shape, the member."""
    try:
        document = json.loads(files[name])
    except (KeyError, ValueError, RecursionError) as error:
        raise ValueError(f"{name}: not a JSON document ({error!r})") from None
    if not isinstance(document, dict):
        raise ValueError(f"{name}: must be an object")
    found: dict[str, Any] = checked(document, shape, name)
    return found


def checked(value: Any, shape: Any, where: str) -> Any:
    """``value`` without what is null. Raises ValueError that names the member which is of another type.

    A shape is a type; a dict of shapes by member, ``*`` for those that it does not name; a list of one shape; a tuple
    of shapes of which one must fit; or `ANYTHING`. Members that it does not name are left as they are.
    """
    if isinstance(shape, tuple):
        return _one_of(value, shape, where)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            raise _wrong(where, shape)
        return {
            name: checked(child, shape.get(name, shape.get("*", ANYTHING)), _member(where, name))
            for name, child in value.items()
            if child is not None
        }
    if isinstance(shape, list):
        if not isinstance(value, list):
            raise _wrong(where, shape)
        return [checked(child, shape[0], f"{where}[{i}]") for i, child in enumerate(value)]
    if shape is not ANYTHING and (not isinstance(value, shape) or (isinstance(value, bool) and shape is not bool)):
        raise _wrong(where, shape)
    return value


def _one_of(value: Any, shapes: tuple[Any, ...], where: str) -> Any:
    kinds: dict[Any, Any] = {dict: dict, list: list}
    for shape in shapes:
        # What it is decides which shape it is held to, so that the fault is told where it is.
        if kinds.get(type(shape)) is type(value):
            return checked(value, shape, where)
    for shape in shapes:
        if isinstance(shape, type):
            try:
                return checked(value, shape, where)
            except ValueError:
                continue
    raise _wrong(where, *shapes)


def _wrong(where: str, *shapes: Any) -> ValueError:
    kinds: dict[Any, str] = {dict: "an object", list: "a list"}
    wanted = [kinds.get(type(shape)) or _NAMES[shape] for shape in shapes]
    return ValueError(f"{where}: must be {' or '.join(dict.fromkeys(wanted))}")


def _member(where: str, name: str) -> str:
    return f"{where}.{name}" if ":" in where else f"{where}:{name}"
