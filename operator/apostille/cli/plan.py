"""Says what a change in Git does: who gains, who loses, what relying parties must hold then.

Compares the declarations in the working tree with those of the commit at which its branch left REF, so that what others
did meanwhile is not shown. Needs git and no cluster; nothing is checked out.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from apostille.cli import options as common
from apostille.cli.lint import fails_on, judge_context, judging, patterns

if TYPE_CHECKING:
    from apostille.lint.change import Change, May, Right

EPILOG = "exit code: 0 planned; 1 the change brings findings that count (--fail-on); 2 unreadable input, wrong usage"
EXAMPLES = """
$ apostille plan --diff main
$ apostille plan --diff origin/main clusters/prod --issuer https://oidc.example.com/prod -o markdown
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    parser.add_argument("paths", nargs="*", default=["."], metavar="PATH", help="files and folders (default: .)")
    parser.add_argument("--diff", required=True, metavar="REF", help="a branch, tag or commit to compare with")
    common.output(parser, "text", "markdown", "json", "yaml")
    parser.add_argument(
        "--fail-on",
        choices=["warn", "deny", "never"],
        default="deny",
        help="exit with 1 on new findings: warn, any; deny, what would be refused; never (default: %(default)s)",
    )
    parser.add_argument("-n", "--namespace", metavar="NAME", default="", help="of objects that name none")
    judging(parser)


def run(options: argparse.Namespace) -> int:
    """0, 1 or 2: see EPILOG."""
    from datetime import UTC, datetime

    from apostille.cli import git
    from apostille.cli.files import named, read
    from apostille.lint.change import change, state
    from apostille.lint.judge import Options
    from apostille.lint.report import Report

    now = datetime.now(UTC)
    try:
        base = git.merge_base(options.diff)
        judged = Options(judge_context(options), now.date(), options.namespace, named=named(options.paths))
        exclude = patterns(options)
        before = state(git.read(base, options.paths, exclude), judged, now)
        after = state(list(read(options.paths, [], exclude)), judged, now)
    except (OSError, ValueError, git.GitError) as error:
        print(f"apostille: {error}", file=sys.stderr)
        return 2
    made = change(before, after)
    if options.output in ("text", "markdown"):
        print("\n".join(lines(made, f"{options.diff} ({base[:10]})", markdown=options.output == "markdown")))
    else:
        from apostille.cli.documents import text

        print(text(document(made, base), options.output))
    for problem in after.report.problems:
        print(f"apostille: {problem.file}:{problem.line}: {problem.message}", file=sys.stderr)
    if after.report.problems:
        return 2
    return int(Report(made.found, ()).fails(fails_on(options.fail_on)))


def lines(made: Change, against: str, *, markdown: bool) -> list[str]:
    """For people; as Markdown for a comment on the pull request."""
    from apostille.lint.formats.lines import printable

    told = [f"{'## ' if markdown else ''}Against {against}: {_sum(made)}"]
    sections: list[tuple[str, list[str]]] = [
        ("gains", [_right(right, by) for right, by in made.gains]),
        ("loses", [_right(right, by) for right, by in made.loses]),
        ("may now bind", [_may(may) for may in made.may]),
        ("may no longer bind", [_may(may) for may in made.may_not]),
        ("enforcement", [f"{name}: {before or 'none'} → {after or 'none'}" for name, before, after in made.modes]),
        ("to restart", [f"pods of WorkloadBinding {name}" for name in made.restart]),
        ("new findings", [_finding(one) for one in made.found]),
        ("mended", [_finding(one) for one in made.mended]),
    ]
    for title, entries in sections:
        if entries:
            told += ["", f"### {title.capitalize()}" if markdown else f"{title}:"]
            told += [f"- {printable(entry)}" if markdown else f"  {printable(entry)}" for entry in entries]
    for (trust, file), difference in made.documents.items():
        told += ["", f"### Rendered for {trust}: `{file}`" if markdown else f"rendered for {trust}: {file}"]
        body = [printable(line) for line in difference.splitlines()]
        told += ["```diff", *body, "```"] if markdown else [f"  {line}" for line in body]
    return [*told, *(line for note in made.notes for line in ("", f"note: {note}"))]


def _sum(made: Change) -> str:
    if made.empty and not made.found and not made.mended:
        return "nothing changes"
    parts = [
        (len(made.gains), "gain", "gains"), (len(made.loses), "lose", "loses"),
        (len(made.documents), "documents change", "document changes"), (len(made.found), "new findings", "new finding"),
    ]  # fmt: skip
    told = ", ".join(f"{number} {one if number == 1 else many}" for number, many, one in parts if number)
    return told or "nobody gains or loses"


def _right(right: Right, by: tuple[str, ...]) -> str:
    who = f"{right.namespace}/{right.service_account}"
    return f"{who}  {right.party} {right.target}  (trust {right.trust}, WorkloadBinding {', '.join(by)})"


def _may(may: May) -> str:
    return f"{may.namespace}/{may.service_account}  {may.target}  (trust {may.trust})"


def _finding(one: Any) -> str:
    finding = one.finding
    return f"{one.file}:{one.place.line}: {one.severity}: {finding.rule.id} {finding.path}: {finding.message}"


def document(made: Change, base: str) -> dict[str, Any]:
    """For programs."""
    from apostille.lint.formats.data import finding

    def right(entry: tuple[Right, tuple[str, ...]]) -> dict[str, Any]:
        return {**entry[0]._asdict(), "bindings": list(entry[1])}

    return {
        "base": base,
        "gains": [right(entry) for entry in made.gains],
        "loses": [right(entry) for entry in made.loses],
        "mayBind": [may._asdict() for may in made.may],
        "mayNoLongerBind": [may._asdict() for may in made.may_not],
        "enforcement": [{"trust": name, "before": before, "after": after} for name, before, after in made.modes],
        "restart": list(made.restart),
        "documents": [
            {"trust": trust, "file": file, "diff": difference} for (trust, file), difference in made.documents.items()
        ],
        "newFindings": [finding(one) for one in made.found],
        "mended": [finding(one) for one in made.mended],
        "notes": list(made.notes),
    }
