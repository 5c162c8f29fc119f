"""RAM's judgement of a role trust policy (RAM "Policy elements", "Conditional operators").

Written from the vendor's pages, apart from the product: what both get wrong would have to be read wrong twice.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any

Context = Mapping[str, tuple[str, ...]]
"""Condition key → its values in the request."""


def allowed(policy: Mapping[str, Any], provider: str, context: Context) -> bool:
    """An Allow that applies, and no Deny that does."""
    applying = [
        statement["Effect"]
        for statement in policy["Statement"]
        if provider in statement["Principal"]["Federated"]
        and any(action in ("sts:AssumeRole", "sts:*", "*") for action in _several(statement["Action"]))
        and all(
            _holds(operator, context.get(key, ()), list(_several(wanted)))
            for operator, keys in (statement.get("Condition") or {}).items()
            for key, wanted in keys.items()
        )
    ]
    return "Deny" not in applying and "Allow" in applying


def _holds(operator: str, values: Iterable[str], wanted: list[str]) -> bool:
    positive = operator.replace("StringNot", "String")
    found = any(_same(positive, pattern, value) for value in values for pattern in wanted)
    return not found if positive != operator else found


def _same(operator: str, pattern: str, value: str) -> bool:
    if operator == "StringEqualsIgnoreCase":
        return pattern.casefold() == value.casefold()
    if operator == "StringLike":
        # Brackets are plain characters there.
        return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))
    return pattern == value


def _several(value: Any) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, list) else (value,)
