"""AdmissionReview (admission.k8s.io/v1): reading requests, writing answers."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from apostille.model.finding import Finding

Raw = dict[str, Any]

# The API server cuts a single warning at 256 characters and drops what is over 4,096 in sum.
MAX_WARNING, MAX_WARNINGS = 256, 4096
# What the API server allows a webhook by default (admissionregistration.k8s.io/v1, timeoutSeconds).
DEFAULT_TIMEOUT = 10.0
# Of the webhook's timeout, the part that may be waited: an answer in time is a reason, a late one is no answer.
PATIENCE = 0.75


class BadReview(ValueError):
    """Not an AdmissionReview with a request."""


def request_of(body: bytes) -> Raw:
    """The request; raises BadReview."""
    try:
        review = msgspec.json.decode(body)
        request = review["request"]
        if not isinstance(request["uid"], str):
            raise BadReview("request.uid is missing")
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise BadReview(f"not an AdmissionReview: {error}") from None
    return dict(request)


def patience(timeout: str) -> float:
    """Seconds that an answer may wait, of the ``timeout`` with which the API server calls (a Go duration: ``10s``)."""
    match = re.fullmatch(r"(?:(\d+)m)?(\d+(?:\.\d+)?)s", timeout)
    return PATIENCE * (60 * int(match[1] or 0) + float(match[2]) if match else DEFAULT_TIMEOUT)


def answer(
    request: Mapping[str, Any], *, operations: Sequence[Raw] = (), warnings: Sequence[str] = (), denial: str = ""
) -> Raw:
    """The review to send back. ``denial`` refuses with that message and code 403."""
    response: Raw = {"uid": request["uid"], "allowed": not denial}
    if denial:
        response["status"] = {"code": 403, "reason": "Forbidden", "message": denial}
    elif operations:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(msgspec.json.encode(operations)).decode()
    if warnings:
        response["warnings"] = _fitting(warnings)
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}


def as_warning(finding: Finding) -> str:
    """Field, fault, rule and remedy, in that order: the field and the fault always fit, the remedy may be cut."""
    return f"{finding.path}: {finding.message} [{finding.rule.id}]. {finding.remedy}"


def _fitting(warnings: Sequence[str]) -> list[str]:
    kept: list[str] = []
    room = MAX_WARNINGS
    for warning in warnings:
        text = warning if len(warning) <= MAX_WARNING else warning[: MAX_WARNING - 1] + "…"
        if len(text) > room:
            break
        kept.append(text)
        room -= len(text)
    return kept
