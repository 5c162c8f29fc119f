"""What fits into as many objects as the controller may write. What does not is not added; what ends still goes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from apostille.core import grants, selection
from apostille.core.desired import Desired


def fitting(want: Desired, present: Desired, shards: int) -> tuple[Desired, str]:
    """``want``, or what of it is ``present`` already where all of it needs more than ``shards`` objects of a kind.

    With a sentence that says what is missing, empty where nothing is. Keeping what is there, and adding nothing, is the
    one choice that neither takes a workload's identity nor leaves one that has ended.
    """
    told = []
    if (needed := _policies(want)) > shards:
        keep = frozenset(grant for grant in want.grants if grant in present.grants)
        told.append(f"{len(want.grants)} grants need {needed} policies a mode, {shards} may be written")
        want = replace(want, grants=keep)
    if (needed := selection.shards_needed(want.bound, want.allowed)) > shards:
        selected = present.bound | present.allowed
        told.append(f"the service accounts need {needed} webhook configurations, {shards} may be written")
        want = replace(want, bound=want.bound & selected, allowed=want.allowed & selected)
    if not told:
        return want, ""
    return want, f"{'; '.join(told)}: nothing is added any more; raise the chart's value controller.shards"


def _policies(want: Desired) -> int:
    modes: dict[str, set[str]] = {}
    for protection in want.protections:
        modes.setdefault(protection.mode, set()).add(protection.audience)
    return max((grants.shards_needed(_under(want, audiences)) for audiences in modes.values()), default=0)


def _under(want: Desired, audiences: Collection[str]) -> list[grants.Grant]:
    return sorted(grant for grant in want.grants if grant.audience in audiences)
