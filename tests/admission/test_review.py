"""AdmissionReviews in and out: what is read, how long an answer may wait, what fits into a warning."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from apostille.admission.review import (
    DEFAULT_TIMEOUT,
    MAX_WARNING,
    MAX_WARNINGS,
    PATIENCE,
    BadReview,
    answer,
    as_warning,
    patience,
    request_of,
)
from apostille.core.selection import ALLOWED_TIMEOUT, BOUND_TIMEOUT, KINDS_TIMEOUT
from apostille.model.finding import Severity
from apostille.parties.registry import catalogue

REQUEST = {"uid": "1-2-3", "kind": {"kind": "Pod"}}


def response(**parts: Any) -> dict[str, Any]:
    review = answer(REQUEST, **parts)
    assert (review["apiVersion"], review["kind"]) == ("admission.k8s.io/v1", "AdmissionReview")
    assert review["response"]["uid"] == REQUEST["uid"]
    return dict(review["response"])


def test_the_request_is_what_counts() -> None:
    assert request_of(json.dumps({"kind": "AdmissionReview", "request": REQUEST}).encode()) == REQUEST


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"7", b"{}", b'{"request": null}', b'{"request": {}}', b'{"request": {"uid": 7}}']
)
def test_anything_else_is_no_review(body: bytes) -> None:
    with pytest.raises(BadReview):
        request_of(body)


def test_nothing_to_do_is_allowed_without_a_patch() -> None:
    assert response() == {"uid": "1-2-3", "allowed": True}


def test_a_patch_is_base64_of_json() -> None:
    operation = {"op": "add", "path": "/metadata/labels", "value": {"ä": "1"}}
    made = response(operations=[operation])
    assert made["patchType"] == "JSONPatch"
    assert json.loads(base64.b64decode(made["patch"])) == [operation]


def test_a_denial_carries_no_patch() -> None:
    made = response(denial="no", operations=[{"op": "remove", "path": "/x"}], warnings=["w"])
    assert made["allowed"] is False
    assert made["status"] == {"code": 403, "reason": "Forbidden", "message": "no"}
    assert made["warnings"] == ["w"]
    assert "patch" not in made


def test_warnings_are_cut_where_the_api_server_would() -> None:
    fits, long = "a" * MAX_WARNING, "b" * (MAX_WARNING + 1)
    assert response(warnings=[fits])["warnings"] == [fits]
    (cut,) = response(warnings=[long])["warnings"]
    assert (len(cut), cut[-1]) == (MAX_WARNING, "…")
    many = response(warnings=[f"{n:03} {fits[:252]}" for n in range(40)])["warnings"]
    assert sum(map(len, many)) == MAX_WARNINGS
    assert many[0].startswith("000")


def test_a_review_can_be_encoded() -> None:
    assert msgspec.json.decode(msgspec.json.encode(answer(REQUEST, warnings=["w"])))["response"]["warnings"] == ["w"]


@pytest.mark.parametrize("rule", [rule for rule in catalogue() if rule.severity is Severity.WARN], ids=lambda r: r.id)
def test_a_warning_has_field_fault_rule_and_its_whole_remedy(rule: Any) -> None:
    """With a long path and a message of the usual length, nothing of it is cut."""
    finding = rule.at("spec.subject.serviceAccountNames[12]", "m" * 70)
    (shown,) = response(warnings=[as_warning(finding)])["warnings"]
    assert shown == f"{finding.path}: {finding.message} [{rule.id}]. {rule.remedy}"


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [("10s", 10.0), ("5s", 5.0), ("1m0s", 60.0), ("2.5s", 2.5), ("", DEFAULT_TIMEOUT), ("soon", DEFAULT_TIMEOUT)],
)
def test_patience_is_a_part_of_what_the_api_server_gives(timeout: str, seconds: float) -> None:
    assert patience(timeout) == PATIENCE * seconds


@pytest.mark.parametrize("timeout", [ALLOWED_TIMEOUT, BOUND_TIMEOUT, KINDS_TIMEOUT])
def test_an_answer_that_waited_still_comes_in_time(timeout: int) -> None:
    """A second for the way there and back, and for working it out."""
    assert patience(f"{timeout}s") <= timeout - 1
