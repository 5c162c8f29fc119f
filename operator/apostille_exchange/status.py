"""``apostille-exchange status``: how the credentials of this pod stand, without anything of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from apostille_exchange import instants

TYPE_CHECKING = False
if TYPE_CHECKING:
    from apostille_exchange.metrics import Standing

STATE_FILE = "/var/run/apostille.dev/.state"


def document(standings: Iterable[Standing]) -> dict[str, dict[str, str]]:
    """Binding → ``state``, and ``expires`` where something is held."""
    return {
        one.binding: {"state": one.state, **({"expires": instants.text(one.expires)} if one.expires else {})}
        for one in standings
    }


def status(path: str) -> int:
    """Prints what the running sidecar wrote last; 1 where there is nothing."""
    try:
        with open(path) as file:
            sys.stdout.write(file.read())
    except OSError as error:
        print(f"{path}: {error.strerror}", file=sys.stderr)
        return 1
    return 0
