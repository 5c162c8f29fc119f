"""SARIF 2.1.0 (OASIS), as code-scanning services take it."""

from __future__ import annotations

import hashlib
from typing import Any

from apostille.lint.report import Report, Result
from apostille.lint.text import Problem
from apostille.model.finding import Rule, Severity
from apostille.model.names import DOCS

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVEL = {Severity.DENY: "error", Severity.BROKEN: "error", Severity.WARN: "warning"}


def sarif(report: Report, version: str) -> dict[str, Any]:
    """One run. What could not be read is a notification, and the run then not a successful one."""
    rules = {result.finding.rule.id: result.finding.rule for result in report.results}
    order = {rule: number for number, rule in enumerate(sorted(rules))}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "apostille",
                        "version": version,
                        "informationUri": DOCS,
                        "rules": [_rule(rules[name]) for name in order],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [
                    {
                        "executionSuccessful": not report.problems,
                        "toolExecutionNotifications": [_notification(problem) for problem in report.problems],
                    }
                ],
                "results": [_result(result, order[result.finding.rule.id]) for result in report.results],
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "name": rule.slug,
        "shortDescription": {"text": f"{rule.title}."},
        "fullDescription": {"text": rule.why},
        "help": {"text": f"{rule.remedy}."},
        "helpUri": f"{DOCS}/rules/{rule.id}",
        "defaultConfiguration": {"level": _LEVEL[rule.severity]},
    }


def _result(result: Result, index: int) -> dict[str, Any]:
    finding = result.finding
    # So that a finding that moves with its lines is the same finding.
    identity = "\0".join((finding.rule.id, result.file, result.about, finding.path, finding.message))
    made: dict[str, Any] = {
        "ruleId": finding.rule.id,
        "ruleIndex": index,
        "level": _LEVEL[result.severity],
        "message": {"text": f"{_field(finding.path)}{finding.message}. {finding.remedy}."},
        "locations": [_location(result.file, result.place.line, result.place.column, result.place.width, result.about)],
        "partialFingerprints": {"apostille/v1": hashlib.sha256(identity.encode()).hexdigest()[:32]},
    }
    if (suppressed := result.suppressed) is not None:
        said = f"{suppressed.reason} (until {suppressed.until})"
        made["suppressions"] = [{"kind": "inSource", "status": "accepted", "justification": said}]
    return made


def _field(path: str) -> str:
    return f"{path}: " if path else ""


def _location(file: str, line: int, column: int, width: int, about: str) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(file)}}
    if line:
        physical["region"] = {"startLine": line, "startColumn": column, "endColumn": column + width}
    location: dict[str, Any] = {"physicalLocation": physical}
    if about:
        location["logicalLocations"] = [{"fullyQualifiedName": about, "kind": "object"}]
    return location


def _uri(file: str) -> str:
    """A URI reference (RFC 3986 §4.2) of a relative path; what it may not hold is escaped."""
    safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/"
    return "".join(c if c in safe else "".join(f"%{byte:02X}" for byte in c.encode()) for c in file)


def _notification(problem: Problem) -> dict[str, Any]:
    return {
        "level": "error",
        "message": {"text": problem.message},
        "locations": [_location(problem.file, problem.line, max(1, problem.column), 1, "")],
    }
