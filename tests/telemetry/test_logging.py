"""Logs are one JSON object a line, whatever is logged; every call's fields are known ones, and name objects one way."""

from __future__ import annotations

import ast
import asyncio
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

from api_double import ApiDouble
from apostille.controller.queue import Queue
from apostille.kube.client import SECRETS, ApiError
from apostille.kube.reflector import Reflector
from apostille.telemetry.logging import JSONFormatter, about
from jumping_loop import in_no_time

OPERATOR = Path(__file__).parents[2] / "operator" / "apostille"
# Logger.makeRecord raises KeyError for these, so that the line, and whatever it stood in, fails.
RESERVED = set(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime"}
LEVELS = {"debug", "info", "warning", "error", "exception", "log"}
# What gives the field `object`: the helper, something of its type, or a variable that holds what it gave.
NAMED = r"about\(.*\)|(self\.)?_about(\(request\))?|self\._named\(key\)|named"
# All others; none of them names an object of the API.
FIELDS = {
    "allowed", "audience", "authorities", "certificate", "identity", "objects", "operation", "patched", "path", "port",
    "reason", "refusal", "requests", "review", "seconds", "step", "task", "until", "webhook",
}  # fmt: skip


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


@pytest.fixture(scope="module")
def calls() -> list[tuple[str, ast.Call]]:
    """(file:line, call) of everything that the operator logs."""
    return [
        (f"{path.relative_to(OPERATOR)}:{node.lineno}", node)
        for path in sorted(OPERATOR.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "log"
    ]


def test_there_are_calls(calls: list[tuple[str, ast.Call]]) -> None:
    assert len(calls) > 25
    assert all(isinstance(call.func, ast.Attribute) and call.func.attr in LEVELS for _, call in calls)


def test_a_line_is_constant_words_and_fields_of_which_one_names_the_object(calls: list[tuple[str, ast.Call]]) -> None:
    """Words that differ cannot be counted; an object is named by the one field ``object``, or it cannot be found."""
    for where, call in calls:
        _check(where, call)


def _check(where: str, call: ast.Call) -> None:
    level, *rest = (*call.args, None) if isinstance(call.func, ast.Attribute) and call.func.attr != "log" else call.args
    words = level if rest == [None] else rest[0]
    assert isinstance(words, ast.Constant), f"{where}: the message is one text; what differs is a field"
    for extra in [keyword.value for keyword in call.keywords if keyword.arg == "extra"]:
        assert isinstance(extra, ast.Dict), where
        for key, value in zip(extra.keys, extra.values, strict=True):
            if key is None:
                assert re.fullmatch(NAMED, ast.unparse(value)), f"{where}: name it by `logging.about`"
            else:
                assert isinstance(key, ast.Constant), where
                assert key.value in FIELDS, where
                assert key.value not in RESERVED, where


def test_the_field_of_an_object_has_what_is_known() -> None:
    assert about("Pod", "web-0", "payments", "u1") == {
        "object": {"kind": "Pod", "namespace": "payments", "name": "web-0", "uid": "u1"}
    }
    assert about("FederationTrust", "aws-prod") == {"object": {"kind": "FederationTrust", "name": "aws-prod"}}


@in_no_time
async def test_a_reconciliation_that_fails_says_of_which_object(caplog: pytest.LogCaptureFixture) -> None:
    async def refused(key: tuple[str, str]) -> float | None:
        raise ApiError(403, "Forbidden", "no")

    queue = Queue(refused, named=lambda key: about("WorkloadBinding", key[1], key[0], "u1"))
    queue.add(("payments", "reader"))
    running = asyncio.create_task(queue.run())
    await asyncio.sleep(0.05)
    running.cancel()

    line = json.loads(JSONFormatter().format(caplog.records[0]))
    assert line["object"] == {"kind": "WorkloadBinding", "namespace": "payments", "name": "reader", "uid": "u1"}
    assert (line["message"], line["reason"]) == ("will be tried again", "ApiError: 403 Forbidden: no")


@in_no_time
async def test_an_object_that_is_not_understood_is_named(caplog: pytest.LogCaptureFixture) -> None:
    def decode(raw: dict[str, Any]) -> str | None:
        raise KeyError("spec")

    api: Any = ApiDouble()
    api.put(f"{SECRETS.path(namespace='a')}/odd", metadata={"namespace": "a", "uid": "u1"})
    reflector = Reflector(api, SECRETS.path(namespace="a"), decode)
    running = asyncio.create_task(reflector.run())
    await reflector.synced.wait()
    running.cancel()

    assert vars(caplog.records[0])["object"] == {"kind": "Secret", "namespace": "a", "name": "odd", "uid": "u1"}


def test_logging_does_refuse_them() -> None:
    with pytest.raises(KeyError):
        formatted("m", name="x")
