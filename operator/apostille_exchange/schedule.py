"""When: the renewal of a credential that is held, and the next try after a failure."""

from __future__ import annotations

from apostille_exchange.clock import Clock
from apostille_exchange.deliver.stamp import Stamp
from apostille_exchange.errors import ExchangeError

REFRESH_AT = 0.66  # of a credential's life
REFRESH_JITTER = 0.1
OVERDUE = (0.1, 600.0)  # of a credential's life, at most seconds, that a renewal may be late (KEP-4317 has 10 min)
SHORTEST_REFRESH = 10.0  # seconds: a party that grants almost nothing is not hammered for it
TRANSIENT = (1.0, 60.0)  # seconds of back-off: first and longest, full jitter
PERMANENT = (5.0, 300.0)
# Trust that was configured a moment ago is refused at first (cloud-trust §3.1, §20 NotPropagated).
PROPAGATION = 60.0
LONGEST_RETRY_AFTER = 600.0  # seconds; more would let one reply outlast the credential


class Refresh:
    """The renewal of one credential."""

    def __init__(self, stamp: Stamp, clock: Clock, share: float = REFRESH_AT) -> None:
        """``share`` of the credential's life is when."""
        spread = clock.uniform(1 - REFRESH_JITTER, 1 + REFRESH_JITTER)
        delay = max(SHORTEST_REFRESH, (stamp.expires - stamp.issued) * share * spread)
        self._clock = clock
        self._time = stamp.issued + delay
        # By both clocks: a step of the wall clock must not keep an old credential beyond its time.
        self._moment = clock.monotonic() + max(0.0, self._time - clock.time())
        self._grace = min(OVERDUE[0] * (stamp.expires - stamp.issued), OVERDUE[1])

    def due(self) -> bool:
        """Whether it is time."""
        return self._late() >= 0.0

    def overdue(self) -> bool:
        """Whether it is high time: somebody should look."""
        return self._late() > self._grace

    def _late(self) -> float:
        return max(self._clock.time() - self._time, self._clock.monotonic() - self._moment)


class Backoff:
    """The tries for one order, beginning now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since = clock.monotonic()
        self._failures = 0
        self._not_before = 0.0
        self._told = False

    def failed(self, error: ExchangeError, left: float = float("inf")) -> float:
        """Counts a failure; returns the seconds until the next try.

        ``left`` is how long a credential is still good: there is a try before it ends, however long the back-off.
        """
        moment = self._clock.monotonic()
        settled = moment - self._since >= PROPAGATION
        first, longest = PERMANENT if error.permanent and settled else TRANSIENT
        longest = min(longest, max(first, left / 2))
        wait = self._clock.uniform(0.0, min(longest, first * 2.0 ** min(self._failures, 16)))
        self._told = error.retry_after is not None
        if error.retry_after is not None:
            # Added to, not compared with: everybody was told the same instant.
            wait += min(max(error.retry_after, 0.0), LONGEST_RETRY_AFTER)
        self._failures += 1
        self._not_before = moment + wait
        return wait

    def succeeded(self) -> None:
        """Forgets the failures."""
        self._failures = 0

    def waits(self, assertion_changed: bool) -> bool:
        """Whether it is too early. A new assertion may well be what was missing, unless the party asked for rest."""
        if not self._failures or self._clock.monotonic() >= self._not_before:
            return False
        return self._told or not assertion_changed
