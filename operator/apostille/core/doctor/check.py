"""The question and the answer: what was read of an installation, and one line of what is said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from apostille.kinds.decode import Unreadable
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding

Object = Mapping[str, Any]
# Of a list that is told, the first few; how many more there are is said.
SHOWN = 5


class Level(StrEnum):
    """``unknown``: whoever asks may not read what the check needs."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Check:
    """One line."""

    name: str
    level: Level
    message: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """What was read of an installation; what could not be is in ``unread``, by the member's name, with the reason.

    ``heard`` are the warnings that came with dry runs of the probe; ``server_time`` is the API server's clock while
    this machine's showed ``asked_at``. ``issuer_here`` is why the issuer's document could not be had under its own URL
    from this machine, empty where it could, None where that was not tried.
    """

    own_namespace: str
    version: str = ""
    kinds_served: bool = False
    issuer: Object = field(default_factory=dict)
    keys: Sequence[Object] = ()
    issuer_here: str | None = None
    anchor: Object | None = None
    lease: Object | None = None
    deployments: Sequence[Object] = ()
    configurations: Sequence[Object] = ()
    policies: Sequence[Object] = ()
    heard: frozenset[str] = frozenset()
    server_time: datetime | None = None
    asked_at: datetime | None = None
    trusts: Sequence[FederationTrust | Unreadable] = ()
    bindings: Sequence[WorkloadBinding | Unreadable] = ()
    unread: Mapping[str, str] = field(default_factory=dict)
