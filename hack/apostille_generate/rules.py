"""``docs/rules/``: one page a rule, where its messages link to, and a table of all."""

from __future__ import annotations

from pathlib import Path

from apostille.lint.rules import RULES
from apostille.model.finding import Rule, Severity
from apostille.parties.registry import catalogue
from apostille_generate.markdown import NOTE, table

FOLDERS = ("docs/rules",)

_SEVERITY = {
    Severity.DENY: "deny: it would be too broad, so it is refused",
    Severity.BROKEN: "broken: it could never work, so it is refused",
    Severity.WARN: "warn: it is taken, with a warning",
}
_WHERE = {
    "webhook": "on `kubectl apply` of a FederationTrust or WorkloadBinding, and in the condition `Accepted`",
    "policy": "in the API server, for token requests and pods, by ValidatingAdmissionPolicies",
    "status": "over all bindings of a trust and over the issuer, in the conditions `Configured` and `IssuerReady`",
    "lint": "offline, by `apostille lint`",
}
_SHORT = {"webhook": "`kubectl apply`", "policy": "API server", "status": "status", "lint": "lint"}


def _every() -> tuple[Rule, ...]:
    return (*catalogue(), *RULES)


def files(root: Path) -> dict[str, str]:
    """Path to text."""
    pages = {f"docs/rules/{rule.id}.md": _page(rule) for rule in _every()}
    return {"docs/rules/README.md": _index(), **pages}


def _page(rule: Rule) -> str:
    facts = [
        ("Severity", _SEVERITY[rule.severity]),
        ("Where", "; ".join(_WHERE[place] for place in rule.enforced_in if place in _WHERE)),
        ("Known as", f"`{rule.slug}`"),
    ]
    return (
        f"{NOTE}# {rule.id}: {rule.title}\n\n"
        + table(("", ""), facts)
        + f"\n## Why\n\n{rule.why}\n\n## What to do\n\n{rule.remedy}.\n\n[All rules](README.md)\n"
    )


def _index() -> str:
    rows = [
        (
            f"[{rule.id}]({rule.id}.md)",
            rule.title,
            str(rule.severity),
            ", ".join(_SHORT[place] for place in rule.enforced_in if place in _SHORT),
            f"`{rule.slug}`",
        )
        for rule in _every()
    ]
    return (
        f"{NOTE}# Rules\n\n"
        "What Apostille refuses or warns of. A message names the field, what is wrong, what would be right, and the "
        "rule. Ids never change their meaning.\n\n"
        + table(("Rule", "What is wrong", "Severity", "Where", "Known as"), rows)
    )
