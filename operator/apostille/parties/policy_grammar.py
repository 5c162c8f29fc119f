"""The grammar of role trust policies that AWS IAM and Alibaba Cloud RAM share (RAM "Policy structure and syntax")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

FIELD = "AssumeRolePolicyDocument"
"""The member of CreateRole in which a trust policy stands, at both."""


def as_list(value: Any) -> list[Any]:
    """One element is taken wherever a list of them is."""
    return list(value) if isinstance(value, list | tuple) else [value]


def statements(policy: Mapping[str, Any]) -> list[Any]:
    """The statements of a policy, in order."""
    return as_list(policy.get("Statement", []))


def exact_subjects(policy: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """The values that statements which allow compare exactly with this condition key."""
    conditions = [one.get("Condition") for one in statements(policy) if one.get("Effect") == "Allow"]
    exact = [one.get("StringEquals") for one in conditions if isinstance(one, Mapping)]
    return tuple(
        subject
        for keys in exact
        if isinstance(keys, Mapping)
        for subject in as_list(keys.get(key, []))
        if isinstance(subject, str)
    )


def glob(pattern: str, value: str) -> bool:
    """``*`` stands for any text, ``?`` for one character."""
    expression = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.fullmatch(expression, value, re.DOTALL) is not None
