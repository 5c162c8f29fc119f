"""``apostille``, also as ``kubectl apostille``: dispatches to a command.

Only the command that was asked for is imported, so that ``--help`` and ``--version`` are quick.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import PurePath

from apostille import __version__

# Name, which is also the module's, and the first line of its documentation.
COMMANDS = {
    "explain": "Says what identity a pod has, from where and until when; or why not, and the one line to change.",
    "doctor": "Examines an installation: one line a check, with the fix.",
    "lint": "Judges files offline by the catalogue: trusts, bindings, workloads, relying parties' documents.",
    "plan": "Says what a change in Git does: who gains, who loses, what relying parties must hold then.",
    "rules": "Lists the catalogue's rules, or says everything about one.",
    "render": "Prints the trust configuration that a relying party must hold, as the controller renders it.",
    "release": "Opens an audience again that stayed protected after its trust, or lists which do.",
    "revoke": "Ends a binding, or a trust with all of its bindings: no token is granted any more.",
    "controller": "Runs the controller: statuses, webhook selection, policies, rendered access. One of several leads.",
    "admission": "Serves the admission webhooks: injection into pods, judgement of trusts and bindings. Stateless; run "
    "several.",
}
PLUGIN = "kubectl-apostille"


def parser(program: str = "apostille", wanted: Sequence[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """All commands; those that are ``wanted`` with their options."""
    root = argparse.ArgumentParser(prog=program, description="Workload identity federation for Kubernetes.")
    root.add_argument("--version", action="version", version=f"apostille {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        if name not in wanted:
            commands.add_parser(name, help=summary)
            continue
        command = importlib.import_module(f"apostille.cli.{name}")
        sub = commands.add_parser(
            name,
            help=summary,
            description=command.__doc__,
            epilog=getattr(command, "EPILOG", None),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.arguments(sub)
        sub.set_defaults(run=command.run)
    return root


def main(arguments: Sequence[str] | None = None) -> None:
    """Exit codes: 0 done, 1 failed (the reason is on standard error), 2 wrong usage; a command may say more."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # As kubectl's plugin it is called by that name.
    program = "kubectl apostille" if PurePath(sys.argv[0]).name == PLUGIN else "apostille"
    parsed = parser(program, [word for word in given if word in COMMANDS][:1]).parse_args(given)
    try:
        sys.exit(parsed.run(parsed))
    except OSError as error:
        print(f"apostille: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
