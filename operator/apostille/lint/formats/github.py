"""Workflow commands of GitHub Actions, which become annotations at the lines of a pull request."""

from __future__ import annotations

from apostille.lint.formats.lines import printable
from apostille.lint.report import Report
from apostille.model.finding import Severity

_COMMAND = {Severity.DENY: "error", Severity.BROKEN: "error", Severity.WARN: "warning"}


def github(report: Report) -> str:
    """One command a finding."""
    told = []
    for result in report.active:
        finding, place = result.finding, result.place
        where = f",line={place.line},endLine={place.line},col={place.column}" if place.line else ""
        title = f"{finding.rule.id} {finding.rule.title}"
        field = f"{finding.path}: " if finding.path else ""
        text = f"{field}{finding.message}. {finding.remedy}."
        about = f"file={_property(result.file)}{where},title={_property(title)}"
        told.append(f"::{_COMMAND[result.severity]} {about}::{_data(text)}")
    told += [
        f"::error file={_property(problem.file)},line={problem.line},col={problem.column},title=cannot be read::"
        f"{_data(problem.message)}"
        for problem in report.problems
    ]
    return "\n".join(told)


def _data(text: str) -> str:
    # actions/toolkit packages/core/src/command.ts, escapeData and escapeProperty
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
