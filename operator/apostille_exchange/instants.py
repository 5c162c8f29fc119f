"""Instants as texts: RFC 3339 for files and logs, HTTP dates for ``Retry-After``."""

from __future__ import annotations

import time

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def text(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def seconds(instant: str) -> float:
    """RFC 3339 as seconds since the epoch. Raises ValueError, also without an offset."""
    from datetime import datetime

    read = datetime.fromisoformat(instant)
    if read.tzinfo is None:
        raise ValueError("an instant without its offset from UTC")
    return read.timestamp()


def http_date(header: str) -> float:
    """An IMF-fixdate (RFC 9110 §5.6.7) as seconds since the epoch. Raises ValueError."""
    _, day, month, year, clock, zone = header.split()
    if zone != "GMT" or month not in _MONTHS:
        raise ValueError("not an HTTP date")
    return seconds(f"{int(year):04}-{_MONTHS.index(month) + 1:02}-{int(day):02}T{clock}+00:00")
