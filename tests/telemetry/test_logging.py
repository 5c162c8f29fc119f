"""Logs are one JSON object a line, whatever is logged, and no call names a field that logging would refuse."""

from __future__ import annotations

import ast
import json
import logging
from pathlib import Path

import pytest

from apostille.telemetry.logging import JSONFormatter

OPERATOR = Path(__file__).parents[2] / "operator" / "apostille"
# Logger.makeRecord raises KeyError for these, so that the line, and whatever it stood in, fails.
RESERVED = set(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime"}


def formatted(message: str, *arguments: object, **extra: object) -> dict[str, object]:
    logger = logging.Logger("apostille.test")
    record = logger.makeRecord("apostille.test", logging.INFO, "", 0, message, arguments, None, extra=extra)
    text = JSONFormatter().format(record)
    assert "\n" not in text
    line: dict[str, object] = json.loads(text)
    return line


def test_a_line_has_time_level_logger_message_and_what_was_passed() -> None:
    line = formatted("decided %s", "it", namespace="payments", allowed=True, reason="two\nlines")
    assert line.pop("time")
    assert line == {
        "level": "info", "logger": "apostille.test", "message": "decided it", "namespace": "payments", "allowed": True,
        "reason": "two\nlines",
    }  # fmt: skip


def test_what_is_no_json_is_written_as_text() -> None:
    assert formatted("m", path=Path("/x"))["path"] == "/x"


def test_an_exception_is_part_of_its_line() -> None:
    try:
        raise ValueError("why")
    except ValueError:
        import sys

        record = logging.LogRecord("n", logging.ERROR, "", 0, "m", (), sys.exc_info())
    line = json.loads(JSONFormatter().format(record))
    assert line["exception"].endswith("ValueError: why")


def _fields() -> list[tuple[str, str]]:
    """(file:line, field) of every literal ``extra={…}`` in the operator."""
    return [
        (f"{path.relative_to(OPERATOR)}:{node.lineno}", key.value)
        for path in sorted(OPERATOR.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.keyword) and node.arg == "extra" and isinstance(node.value, ast.Dict)
        for key in node.value.keys
        if isinstance(key, ast.Constant)
    ]


def test_no_call_names_a_field_of_loggings_own() -> None:
    fields = _fields()
    assert len(fields) > 20, "the calls are not found any more"
    assert [found for found in fields if found[1] in RESERVED] == []


def test_logging_does_refuse_them() -> None:
    with pytest.raises(KeyError):
        formatted("m", name="x")
