"""A finding: one rule, one field, what is wrong and what would be right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from apostille.model.names import DOCS

EnforcedIn = Literal["webhook", "policy", "status", "lint"]


class Severity(StrEnum):
    """``deny``: too broad; ``broken``: can never work (refused as well); ``warn``: works, but somebody should look."""

    DENY = "deny"
    BROKEN = "broken"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of the catalogue. ``slug`` is the reference's name, ``remedy`` says what to do, in the imperative.

    ``why`` stands on the rule's page. ``enforced_in``: webhook, what the kinds' admission refuses or warns of; policy,
    what the API server refuses by itself; status, what only shows over all bindings of a trust; lint, offline.
    ``fixed``: no installation may loosen it, since something else rests on it.
    """

    id: str
    slug: str
    severity: Severity
    title: str
    remedy: str
    why: str
    enforced_in: tuple[EnforcedIn, ...] = ("webhook", "lint")
    fixed: bool = False

    def at(self, path: str, message: str, remedy: str = "") -> Finding:
        """The finding that this rule is broken at a field."""
        return Finding(self, path, message, remedy or self.remedy)


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule at a field path such as ``spec.allow[0].targets[1]``.

    ``mode`` is what the installation or the namespace makes of the rule, where that is not its own severity.
    """

    rule: Rule
    path: str
    message: str
    remedy: str
    mode: Severity | None = None

    @property
    def severity(self) -> Severity:
        """The rule's, unless it was loosened or tightened."""
        return self.mode or self.rule.severity

    @property
    def refuses(self) -> bool:
        """Whether the object must not be admitted."""
        return self.severity is not Severity.WARN

    def __str__(self) -> str:
        page = f"{DOCS}/rules/{self.rule.id}"
        return f"{self.path}: {self.message}. {self.remedy}. [{self.rule.id} {self.rule.slug}, {page}]"


def refusals(findings: Iterable[Finding]) -> list[Finding]:
    """Those that refuse, in field order as given."""
    return [finding for finding in findings if finding.refuses]


def warnings(findings: Iterable[Finding]) -> list[Finding]:
    """Those that only warn."""
    return [finding for finding in findings if not finding.refuses]
