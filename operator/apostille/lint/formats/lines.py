"""For people: every finding with the line that it stands in."""

from __future__ import annotations

from apostille.lint.report import Report, Result
from apostille.model.names import DOCS

# Of a long line the part around the finding.
_WIDEST, _BEFORE = 120, 40


def lines(report: Report) -> str:
    """Findings, then what could not be read, then what is left open, then the sum."""
    texts = {file: text.splitlines() for file, text in report.texts.items()}
    told = [text for result in report.active for text in (*_finding(result, texts), "")]
    for problem in report.problems:
        told += [f"{problem.file}:{problem.line}:{problem.column}: error: {problem.message}", ""]
    told += [f"note: {note}" for note in report.notes]
    return "\n".join(map(printable, [*told, _sum(report)]))


def printable(text: str) -> str:
    """Without what would act on a terminal instead of being shown; files hold anything."""
    return "".join(c if c.isprintable() else "?" for c in text)


def _finding(result: Result, texts: dict[str, list[str]]) -> list[str]:
    finding, place = result.finding, result.place
    where = f"{result.file}:{place.line}:{place.column}" if place.line else result.file
    told = [f"{where}: {result.severity}: {finding.rule.id} {finding.rule.slug} ({result.about})"]
    source = texts.get(result.file, [])
    if 0 < place.line <= len(source):
        told += _excerpt(source[place.line - 1], place.line, place.column, place.width)
    field = f"{finding.path}: " if finding.path else ""
    return [*told, f"  {field}{finding.message}", f"  {finding.remedy}. {DOCS}/rules/{finding.rule.id}"]


def _excerpt(text: str, line: int, column: int, width: int) -> list[str]:
    start = max(0, column - 1 - _BEFORE) if len(text) > _WIDEST else 0
    shown = text[start : start + _WIDEST].replace("\t", " ")
    marked = min(width, max(1, len(shown) - (column - 1 - start)))
    margin = len(str(line))
    return [f"  {line} | {shown}", f"  {' ' * margin} | {' ' * (column - 1 - start)}{'^' * marked}"]


def _sum(report: Report) -> str:
    active = report.active
    by_severity = {
        severity: sum(result.severity == severity for result in active) for severity in ("broken", "deny", "warn")
    }
    counts = ", ".join(f"{number} {severity}" for severity, number in by_severity.items() if number)
    suppressed = len(report.results) - len(active)
    told = f"{_many(report.objects, 'object')} in {_many(report.files, 'file')}: "
    told += f"{_many(len(active), 'finding')} ({counts})" if active else "no findings"
    if suppressed:
        told += f", {suppressed} suppressed"
    if report.problems:
        told += f", {len(report.problems)} could not be read"
    return told


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'s'[: number != 1]}"
