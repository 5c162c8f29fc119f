"""``apostille``: dispatches to a command. Imports nothing heavy, so that ``--help`` is quick."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from apostille import __version__
from apostille.cli import admission, controller, release, render, revoke

COMMANDS = (controller, admission, render, release, revoke)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    root = argparse.ArgumentParser(prog="apostille", description="Workload identity federation for Kubernetes.")
    root.add_argument("--version", action="version", version=f"apostille {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2]
        summary = (command.__doc__ or "").partition("\n")[0]
        sub = commands.add_parser(name, help=summary, description=command.__doc__)
        command.arguments(sub)
        sub.set_defaults(run=command.run)
    return root


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit codes: 0 done, 1 failed (the reason is on standard error), 2 wrong usage."""
    parsed = parser().parse_args(arguments)
    try:
        sys.exit(parsed.run(parsed))
    except OSError as error:
        print(f"apostille: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
