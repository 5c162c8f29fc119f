"""For programs: one document of everything."""

from __future__ import annotations

from typing import Any

from apostille.lint.report import Report, Result
from apostille.model.names import DOCS


def data(report: Report) -> dict[str, Any]:
    """Plain values; suppressed findings are among them and say so."""
    return {
        "findings": [finding(result) for result in report.results],
        "problems": [
            {"file": one.file, "line": one.line, "column": one.column, "message": one.message}
            for one in report.problems
        ],
        "notes": list(report.notes),
        "files": report.files,
        "objects": report.objects,
    }


def finding(result: Result) -> dict[str, Any]:
    """One finding; it says so where it is suppressed."""
    broken = result.finding
    made: dict[str, Any] = {
        "rule": broken.rule.id,
        "slug": broken.rule.slug,
        "severity": str(result.severity),
        "file": result.file,
        "line": result.place.line,
        "column": result.place.column,
        "object": result.about,
        "path": broken.path,
        "message": broken.message,
        "remedy": broken.remedy,
        "help": f"{DOCS}/rules/{broken.rule.id}",
    }
    if (suppressed := result.suppressed) is not None:
        made["suppressed"] = {"until": suppressed.until.isoformat(), "reason": suppressed.reason}
    return made
