"""JUnit's XML, as CI systems show test results: a suite a file, a case a rule that is broken there."""

from __future__ import annotations

import re

from apostille.lint.report import Report, Result
from apostille.model.finding import Severity

# Characters that XML 1.0 does not have (§2.2).
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report, fails: Severity | None) -> str:
    """Findings that count are failures, milder ones pass with their text; what cannot be read is an error."""
    suites: dict[str, list[str]] = {}
    failures: dict[str, int] = {}
    errors: dict[str, int] = {}
    for result in report.active:
        failed = Report([result], ()).fails(fails)
        failures[result.file] = failures.get(result.file, 0) + failed
        suites.setdefault(result.file, []).append(_case(result, failed))
    for problem in report.problems:
        errors[problem.file] = errors.get(problem.file, 0) + 1
        text = f"line {problem.line}: {problem.message}"
        error = f"<error message={_quoted(text)}/>"
        suites.setdefault(problem.file, []).append(
            f'<testcase classname={_quoted(problem.file)} name="can be read">{error}</testcase>'
        )
    for file in report.texts:
        if file not in suites:
            suites[file] = [f'<testcase classname={_quoted(file)} name="no findings"/>']
    made = "".join(
        f'<testsuite name={_quoted(file)} tests="{len(cases)}" failures="{failures.get(file, 0)}" '
        f'errors="{errors.get(file, 0)}">\n{"".join(f"{case}{chr(10)}" for case in cases)}</testsuite>\n'
        for file, cases in sorted(suites.items())
    )
    tests = sum(map(len, suites.values()))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites name="apostille" tests="{tests}" failures="{sum(failures.values())}" '
        f'errors="{sum(errors.values())}">\n{made}</testsuites>'
    )


def _case(result: Result, failed: bool) -> str:
    finding = result.finding
    field = f"{finding.path}: " if finding.path else ""
    name = f"{finding.rule.id} {result.about} {finding.path or 'object'} (line {result.place.line})"
    text = f"{field}{finding.message}. {finding.remedy}."
    inside = f"<failure type={_quoted(finding.rule.slug)} message={_quoted(text)}/>" if failed else ""
    if not failed:
        inside = f"<system-out>{_escaped(text)}</system-out>"
    return f"<testcase classname={_quoted(result.file)} name={_quoted(name)}>{inside}</testcase>"


def _quoted(text: str) -> str:
    return '"' + _escaped(text).replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;") + '"'


def _escaped(text: str) -> str:
    return _FORBIDDEN.sub("?", text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
