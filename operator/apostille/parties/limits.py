"""Counting what bindings use of a far side's bound, oldest binding first, so that the one that goes over is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from apostille.model.finding import Rule
from apostille.parties.party import BindingView, Limit


def counted(
    rule: Rule,
    name: str,
    most: int,
    bindings: Iterable[BindingView],
    of: Callable[[BindingView], str],
    size: Callable[[str], int] = lambda subject: 1,
    fixed: Callable[[str, int], int] = lambda of, subjects: 0,
) -> list[Limit]:
    """One limit per ``of``, by its name. ``size`` is what one subject takes, ``fixed`` what so many take besides.

    A subject that several bindings name counts once, for the oldest.
    """
    subjects: dict[str, set[str]] = {}
    sizes: dict[str, int] = {}
    over: dict[str, str] = {}
    for binding in sorted(bindings, key=lambda binding: (binding.created, binding.namespace, binding.name)):
        key = of(binding)
        mine = subjects.setdefault(key, set())
        for subject in binding.subjects:
            if subject not in mine:
                mine.add(subject)
                sizes[key] = sizes.get(key, 0) + size(subject)
                if sizes[key] + fixed(key, len(mine)) > most:
                    over.setdefault(key, binding.key)
    return [
        Limit(rule, name, key, sizes.get(key, 0) + fixed(key, len(subjects[key])), most, over.get(key, ""))
        for key in sorted(subjects)
    ]
