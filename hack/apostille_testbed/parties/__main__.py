"""``python -m apostille_testbed.parties NAME …``: a relying party as a process of its own."""

from __future__ import annotations

import importlib
import importlib.util
import sys

from apostille_testbed.parties import names


def main(arguments: list[str]) -> int:
    """Hands over to the party's own command line; returns its exit code."""
    known = [name for name in names() if importlib.util.find_spec(f"apostille_testbed.parties.{name}.command")]
    if not arguments or arguments[0] not in known:
        print(f"usage: python -m apostille_testbed.parties {{{','.join(known)}}} …", file=sys.stderr)
        return 2
    command = importlib.import_module(f"apostille_testbed.parties.{arguments[0]}.command")
    return int(command.main(arguments[1:]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
