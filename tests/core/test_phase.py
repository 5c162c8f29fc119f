"""When a binding is in force."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apostille.core.phase import phase
from apostille.model.conditions import Reason
from builders import NOW, binding, trust
from properties import examples

SECOND = timedelta(seconds=1)


def at(offset: int | None) -> str | None:
    return None if offset is None else (NOW + offset * SECOND).isoformat()


def judged(
    begin: int | None = None, end: int | None = None, expires: int | None = None, now: int = 0, **flags: bool
) -> tuple[str, Reason, float | None]:
    """(name, reason, seconds until the next change); offsets are seconds from NOW."""
    by = trust(governance={"expiresAt": at(expires)}, suspended=flags.get("trust_suspended", False))
    of = binding(validity={"notBefore": at(begin), "notAfter": at(end)}, suspended=flags.get("suspended", False))
    found = phase(by, of, NOW + now * SECOND)
    change = None if found.next_change is None else (found.next_change - NOW).total_seconds()
    return found.name, found.reason, change


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("Live", Reason.READY, None)),
        # notBefore is the first moment that counts.
        ({"begin": 1}, ("NotYet", Reason.NOT_YET, 1)),
        ({"begin": 0}, ("Live", Reason.READY, None)),
        # notAfter and expiresAt are the first moment that does not.
        ({"end": 1}, ("Live", Reason.READY, 1)),
        ({"end": 0}, ("Ended", Reason.EXPIRED, None)),
        ({"expires": 1}, ("Live", Reason.READY, 1)),
        ({"expires": 0}, ("Ended", Reason.EXPIRED, None)),
        # The earlier end counts.
        ({"end": 5, "expires": 3}, ("Live", Reason.READY, 3)),
        ({"end": 3, "expires": 5}, ("Live", Reason.READY, 3)),
        # Suspension is above time.
        ({"suspended": True}, ("Ended", Reason.SUSPENDED, None)),
        ({"trust_suspended": True}, ("Ended", Reason.SUSPENDED, None)),
        ({"suspended": True, "begin": 5, "end": 9}, ("Ended", Reason.SUSPENDED, None)),
        # A trust that ends before its binding begins: the next change is the end.
        ({"begin": 5, "expires": 3}, ("NotYet", Reason.NOT_YET, 3)),
        ({"begin": 5, "expires": -1}, ("Ended", Reason.EXPIRED, None)),
    ],
)
def test_boundaries(given: dict[str, Any], expected: tuple[str, Reason, float | None]) -> None:
    assert judged(**given) == expected


def test_messages_name_the_field() -> None:
    ended = phase(trust(governance={"expiresAt": at(0)}), binding(), NOW)
    assert ended.message == "ended at 2026-11-24T12:00:00+00:00 (spec.governance.expiresAt of FederationTrust aws-prod)"
    waiting = phase(trust(), binding(validity={"notBefore": at(1)}), NOW)
    assert waiting.message == "begins at 2026-11-24T12:00:01+00:00 (spec.validity.notBefore)"


offsets = st.one_of(st.none(), st.integers(-5, 5))


@examples(100)
@given(offsets, offsets, offsets, st.integers(-6, 6), st.integers(0, 12))
def test_nothing_changes_before_the_next_change(
    begin: int | None, end: int | None, expires: int | None, now: int, later: int
) -> None:
    """Whoever sleeps until ``next_change`` misses nothing."""
    name, _, change = judged(begin, end, expires, now)
    if change is None or now + later < change:
        assert judged(begin, end, expires, now + later)[0] == name
    else:
        assert judged(begin, end, expires, int(change))[0] != name
