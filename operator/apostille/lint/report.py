"""What was found, in the order of files and lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from apostille.lint.nodes import Place
from apostille.lint.text import Problem
from apostille.model.finding import Finding, Severity

# From the mildest: what `--fail-on` counts from.
ORDER = (Severity.WARN, Severity.DENY, Severity.BROKEN)
NOWHERE = Place(0, 0)


@dataclass(frozen=True, slots=True)
class Suppression:
    """What is tolerated, by whom it may concern to know: where, why, and until which day, that day included."""

    file: str
    place: Place
    rules: tuple[str, ...]
    until: date
    reason: str


@dataclass(frozen=True, slots=True)
class Result:
    """A finding where it stands. ``about`` is the object, for people; ``place`` is `NOWHERE` for what has no lines."""

    finding: Finding
    file: str
    place: Place
    about: str
    suppressed: Suppression | None = None

    @property
    def severity(self) -> Severity:
        """What it counts as."""
        return self.finding.severity


@dataclass(frozen=True, slots=True)
class Report:
    """``texts`` are the files' own, for excerpts; ``notes`` what the judgement leaves open."""

    results: Sequence[Result]
    problems: Sequence[Problem]
    notes: Sequence[str] = ()
    files: int = 0
    objects: int = 0
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def active(self) -> list[Result]:
        """Those that are not suppressed."""
        return [result for result in self.results if result.suppressed is None]

    def fails(self, on: Severity | None) -> bool:
        """Whether a finding is at least as severe as ``on``; with None none is."""
        if on is None:
            return False
        # `deny` and `broken` are both refused.
        least = min(ORDER.index(on), ORDER.index(Severity.DENY))
        return any(ORDER.index(result.severity) >= least for result in self.active)
