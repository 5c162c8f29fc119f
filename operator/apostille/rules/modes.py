"""What an installation, and a namespace, make of the rules: looser where a rule may be, tighter anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from apostille.model.finding import Finding, Rule, Severity

Mode = Literal["off", "warn", "deny"]
_SEVERITY = {"warn": Severity.WARN, "deny": Severity.DENY}


@dataclass(frozen=True, slots=True)
class Modes:
    """Modes by rule id; a rule that is not named has its own severity."""

    by_rule: Mapping[str, Mode] = field(default_factory=dict)

    @classmethod
    def of(cls, written: Iterable[str], known: Iterable[Rule]) -> Modes:
        """From texts ``ID=MODE``. Raises ValueError saying which one is wrong, and how."""
        rules = {rule.id: rule for rule in known}
        modes: dict[str, Mode] = {}
        for text in written:
            name, _, asked = (part.strip() for part in text.partition("="))
            mode: Mode | None = next((one for one in get_args(Mode) if one == asked), None)
            if name not in rules:
                raise ValueError(f"{text!r}: there is no rule {name!r}")
            if mode is None:
                raise ValueError(f"{text!r}: write ID=MODE with one of {', '.join(get_args(Mode))}")
            if mode not in possible(rules[name]):
                raise ValueError(f"{text!r}: {name} can only be {' or '.join(possible(rules[name]))}")
            modes[name] = mode
        return cls(modes)

    @classmethod
    def tightening(cls, annotation: str, known: Iterable[Rule]) -> tuple[Modes, tuple[str, ...]]:
        """From a namespace's annotation ``ID=deny, ID=deny``, and what of it was not understood.

        ``deny`` is all that it can say: whoever owns a namespace is not to loosen anything.
        """
        rules = tuple(known)
        modes: dict[str, Mode] = {}
        wrong: list[str] = []
        for text in (part for part in re.split(r"[,\s]+", annotation) if part):
            try:
                found = cls.of([text], rules).by_rule
            except ValueError as error:
                wrong.append(str(error))
            else:
                if set(found.values()) == {"deny"}:
                    modes |= found
                else:
                    wrong.append(f"{text!r}: a namespace may only tighten, with {text.partition('=')[0]}=deny")
        return cls(modes), tuple(wrong)

    def tightened(self, by: Modes) -> Modes:
        """With what ``by`` denies denied."""
        return Modes({**self.by_rule, **by.by_rule}) if by.by_rule else self

    def applied(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings with their modes; those of rules that are off are left out."""
        changed = []
        for finding in findings:
            mode = self.by_rule.get(finding.rule.id)
            if mode == "off":
                continue
            if mode is not None and finding.rule.severity is not Severity.BROKEN:
                finding = replace(finding, mode=_SEVERITY[mode])
            changed.append(finding)
        return changed


def possible(rule: Rule) -> tuple[Mode, ...]:
    """What an installation may make of a rule. What can never work stays refused, whatever anybody wishes."""
    if rule.fixed or rule.severity is Severity.BROKEN or "policy" in rule.enforced_in:
        return ("deny",)
    return ("off", "warn", "deny") if rule.severity is Severity.WARN else ("warn", "deny")
