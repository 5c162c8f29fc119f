"""The line in a credential file by which a restarted sidecar and the startup probe know it again."""

from __future__ import annotations

from dataclasses import dataclass

from apostille_exchange import instants

_MARK = "apostille-exchange/1"


@dataclass(frozen=True, slots=True)
class Stamp:
    """``issued`` and ``expires`` in seconds since the epoch; ``order`` is the digest of what was asked for."""

    issued: float
    expires: float
    order: str

    def __str__(self) -> str:
        return f"{_MARK} order={self.order} issued={instants.text(self.issued)} expires={instants.text(self.expires)}"


def find(content: str) -> Stamp | None:
    """The stamp anywhere in a file's text; None for a file that is not ours, or damaged."""
    _, mark, rest = content.partition(_MARK + " ")
    if not mark:
        return None
    fields = dict(word.partition("=")[::2] for word in rest.split("\n", 1)[0].split())
    try:
        return Stamp(instants.seconds(fields["issued"]), instants.seconds(fields["expires"]), fields["order"])
    except (KeyError, ValueError):
        return None
