"""What is taken away and wanted again at once counts as in force by a writing that came after, never by one before.

The API server shows what contents are in force, not by which writing: what comes back would look like what was there
before, while the taking away is still under way and refuses pods. So what comes back is numbered, and its number enters
the digests that a probe shows.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import Generic, TypeVar

from apostille.core.desired import Desired, InForce
from apostille.core.grants import Grant
from apostille.core.selection import Selected

K = TypeVar("K", bound=Hashable)

# The API server takes a removal over in a second or two. What comes back later needs no number, so that a controller
# that is restarted, and numbers nothing, has nothing to write.
REMEMBERED_SECONDS = 60.0


class Again:
    """``wanted`` sees each decision that is written, and numbers it; ``counted`` leaves of what is heard what counts.

    ``now`` are seconds of a clock that never goes back.
    """

    def __init__(self) -> None:
        self._grants: _Taken[Grant] = _Taken()
        self._selected: _Taken[Selected] = _Taken()

    def wanted(self, before: Desired, after: Desired, now: float) -> Desired:
        """``after`` with the numbers of what ``before``, or one before that, took away."""
        self._grants.take(before.grants - after.grants, now)
        self._selected.take((Selected("bound", account) for account in before.bound - after.bound), now)
        self._selected.take((Selected("allowed", account) for account in before.allowed - after.allowed), now)
        selected = {"bound": after.bound, "allowed": after.allowed}
        return replace(
            after,
            grants_again=self._grants.back(lambda grant: grant in after.grants, now),
            selected_again=self._selected.back(lambda one: one.account in selected[one.tier], now),
        )

    def counted(self, heard: InForce) -> InForce:
        """What a probe has shown, without what was taken away since; a pair that was bound is asked about as before."""
        grants = self._grants.before(heard.policies.grants_again)
        selected = self._selected.before(heard.selection.selected_again)
        if not grants and not selected:
            return heard
        bound = heard.selection.bound - {account for tier, account in selected if tier == "bound"}
        allowed = heard.selection.allowed | (heard.selection.bound - bound)
        return replace(
            heard,
            policies=replace(heard.policies, grants=heard.policies.grants - grants),
            selection=replace(
                heard.selection,
                bound=bound,
                allowed=allowed - {account for tier, account in selected if tier == "allowed"},
            ),
        )


class _Taken(Generic[K]):
    def __init__(self) -> None:
        self._times: dict[K, tuple[int, float]] = {}

    def take(self, gone: Iterable[K], now: float) -> None:
        for one in gone:
            times, _ = self._times.get(one, (0, now))
            self._times[one] = (times + 1, now)

    def back(self, wanted: Callable[[K], bool], now: float) -> frozenset[tuple[K, int]]:
        """What is wanted, with its number; what is not, and was taken long ago, is forgotten."""
        self._times = {
            one: (times, at) for one, (times, at) in self._times.items() if now - at < REMEMBERED_SECONDS or wanted(one)
        }
        return frozenset((one, times) for one, (times, _) in self._times.items() if wanted(one))

    def before(self, again: frozenset[tuple[K, int]]) -> frozenset[K]:
        """What was taken, where what is in force does not have it by its last number."""
        return frozenset(one for one, (times, _) in self._times.items() if (one, times) not in again)
