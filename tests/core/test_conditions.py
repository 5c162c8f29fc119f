"""Stamping of conditions: times move only where a status does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from apostille.model.conditions import Condition, Reason, find, stamped
from builders import NOW

LATER = NOW + timedelta(hours=1)


def written(status: Any, previous: list[dict[str, Any]], now: Any = LATER, message: str = "m") -> dict[str, Any]:
    (made,) = stamped([Condition("Ready", status, Reason.READY, message)], previous, 7, now)
    return made


def test_the_first_time() -> None:
    assert written("True", [], NOW) == {
        "type": "Ready",
        "status": "True",
        "reason": "Ready",
        "message": "m",
        "observedGeneration": 7,
        "lastTransitionTime": "2026-11-24T12:00:00Z",
    }


def test_only_a_changed_status_moves_the_time() -> None:
    first = written("True", [], NOW)
    assert written("True", [first], message="another")["lastTransitionTime"] == "2026-11-24T12:00:00Z"
    assert written("False", [first])["lastTransitionTime"] == "2026-11-24T13:00:00Z"
    assert written("Unknown", [first])["lastTransitionTime"] == "2026-11-24T13:00:00Z"


def test_a_previous_condition_without_a_time_gets_one() -> None:
    assert written("True", [{"type": "Ready", "status": "True"}])["lastTransitionTime"] == "2026-11-24T13:00:00Z"


def test_another_types_time_is_not_taken() -> None:
    other = written("True", [], NOW) | {"type": "Accepted"}
    assert written("True", [other])["lastTransitionTime"] == "2026-11-24T13:00:00Z"


def test_a_message_is_cut_to_what_the_api_takes() -> None:
    assert len(written("True", [], message="x" * 40_000)["message"]) == 32_768


def test_find() -> None:
    first = written("True", [], NOW)
    assert find([first], "Ready") == first
    assert find([first], "Accepted") == {}
