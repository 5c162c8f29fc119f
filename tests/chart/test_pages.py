"""The chart's page is made of values.yaml, where every value has a comment."""

from __future__ import annotations

import pytest

from apostille_generate.values import UndocumentedValue, documented
from apostille_testbed.chart import CHART
from chart.rendering import DEFAULTS

TEXT = """\
# About both.
group:
  # One thing.
  first: {a: 1}
  # Another,
  # at length.
  second:
    third: 1
"""


def leaves(values: object, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """Paths of everything that is no table of others."""
    if not isinstance(values, dict) or not values:
        return {path}
    return {leaf for key, value in values.items() for leaf in leaves(value, (*path, key))}


def test_a_value_is_documented_by_the_comment_above_it() -> None:
    with pytest.raises(UndocumentedValue, match=r"group\.second\.third has no comment"):
        documented(TEXT)

    (group, first, second, third) = documented(TEXT.replace("    third", "    # The last.\n    third"))
    assert (group.path, group.says, group.group) == (("group",), "About both.", True)
    assert (first.path, first.default, first.group) == (("group", "first"), {"a": 1}, False)
    assert (second.says, second.group) == ("Another, at length.", True)
    assert (third.path, third.says, third.default) == (("group", "second", "third"), "The last.", 1)


def test_every_value_of_the_chart_is_documented() -> None:
    paths = {value.path for value in documented((CHART / "values.yaml").read_text()) if not value.group}

    for leaf in leaves(DEFAULTS):
        assert any(leaf[: len(path)] == path for path in paths), ".".join(leaf)
