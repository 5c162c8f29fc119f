"""Audiences that stay protected after their trust: what was closed opens only when somebody says so (design §5.2).

A record is made when an audience is first enforced, so that a trust that is deleted while no controller is there leaves
one as well. ``ended`` makes it a tombstone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Record:
    """One enforced audience, with the trust that last enforced it and its ``force``.

    ``released`` is what an administrator writes: the record goes, once no trust enforces the audience.
    """

    audience: str
    trust: str
    force: bool
    since: datetime
    ended: datetime | None = None
    released: bool = False

    @property
    def key(self) -> str:
        """In the ConfigMap: an audience may hold what its keys cannot."""
        return record_key(self.audience)

    def written(self) -> str:
        """As an entry's value."""
        entry = {
            "audience": self.audience,
            "trust": self.trust,
            "force": self.force,
            "since": _text(self.since),
            **({"ended": _text(self.ended)} if self.ended is not None else {}),
            **({"released": True} if self.released else {}),
        }
        return json.dumps(entry, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Enforced:
    """What declarations say of an audience: who enforces it, or that its trusts do not."""

    trust: str
    enforces: bool
    force: bool = False


def record_key(audience: str) -> str:
    """The key of an audience's record."""
    return hashlib.sha256(audience.encode()).hexdigest()[:32]


def read(data: Mapping[str, str]) -> dict[str, Record]:
    """Records by audience; what is not one is left out."""
    found = {}
    for text in data.values():
        try:
            entry = json.loads(text)
            ended = entry.get("ended")
            record = Record(
                audience=str(entry["audience"]),
                trust=str(entry["trust"]),
                force=entry.get("force") is True,
                since=datetime.fromisoformat(entry["since"]),
                ended=datetime.fromisoformat(ended) if ended else None,
                released=entry.get("released") is True,
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        found[record.audience] = record
    return found


def settled(
    known: Mapping[str, Record], written: Mapping[str, Record], declared: Mapping[str, Enforced], now: datetime
) -> dict[str, Record]:
    """The records that follow; deterministic in everything but the times, which only ever are ``now``.

    ``known`` is what this process remembers, ``written`` what stands in the cluster, and may have been released there.
    An audience that a trust declares without enforcing it has no record: its owner has opened it.
    """
    records: dict[str, Record] = {}
    for audience in {*known, *written, *declared}:
        record, says = written.get(audience) or known.get(audience), declared.get(audience)
        if says is not None and says.enforces:
            since = record.since if record is not None else now
            records[audience] = Record(audience, says.trust, says.force, since)
        elif says is None and record is not None and not record.released:
            records[audience] = replace(record, ended=record.ended or now)
    return dict(sorted(records.items()))


def tombstones(records: Mapping[str, Record]) -> list[Record]:
    """Those whose trust has ended."""
    return [record for record in records.values() if record.ended is not None]


def config_map_data(records: Collection[Record]) -> dict[str, str]:
    """The ConfigMap's data."""
    return {record.key: record.written() for record in records}


def _text(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
