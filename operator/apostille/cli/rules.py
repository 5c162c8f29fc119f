"""Lists the catalogue's rules, or says everything about one."""

from __future__ import annotations

import argparse
import sys
import textwrap
from typing import TYPE_CHECKING

from apostille.cli import options as common

if TYPE_CHECKING:
    from apostille.model.finding import Rule

EXAMPLES = """
$ apostille rules
$ apostille rules X-CONFUSED-TARGET
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("rule", nargs="?", metavar="RULE", help="its id or its name; default: all of them")
    common.output(parser, "text", "json", "yaml")


def run(options: argparse.Namespace) -> int:
    """0; 1 where there is no such rule."""
    from apostille.lint.rules import RULES
    from apostille.parties.registry import catalogue

    wanted = (options.rule or "").upper()
    rules = [rule for rule in (*catalogue(), *RULES) if not wanted or wanted in (rule.id, rule.slug)]
    if not rules:
        print(f"apostille: there is no rule {options.rule}; apostille rules lists them", file=sys.stderr)
        return 1
    if options.output != "text":
        from apostille.cli.documents import text

        print(text([document(rule) for rule in rules], options.output))
    elif wanted:
        print("\n\n".join(page(rule) for rule in rules))
    else:
        width = max(len(rule.slug) for rule in rules)
        print("\n".join(f"{rule.id}  {rule.severity:6}  {rule.slug:{width}}  {rule.title}" for rule in rules))
    return 0


def page(rule: Rule) -> str:
    """One rule for people."""
    from apostille.model.names import DOCS

    told = [
        f"{rule.id} {rule.slug}: {rule.title}",
        f"{rule.severity}; judged in: {', '.join(rule.enforced_in)}",
        "",
        *textwrap.wrap(rule.why, 100),
        "",
        *textwrap.wrap(f"{rule.remedy}.", 100),
        f"{DOCS}/rules/{rule.id}",
    ]
    return "\n".join(told)


def document(rule: Rule) -> dict[str, object]:
    """One rule for programs."""
    from apostille.model.names import DOCS

    return {
        "id": rule.id,
        "slug": rule.slug,
        "severity": str(rule.severity),
        "title": rule.title,
        "why": rule.why,
        "remedy": rule.remedy,
        "judgedIn": list(rule.enforced_in),
        "help": f"{DOCS}/rules/{rule.id}",
    }
