"""What is tolerated: by a comment at the line or above it, or by an annotation for the whole object.

``# apostille-lint: ignore APO107, APO302 until 2027-01-15: the vendor's tool cannot be told another``. Without a
reason, without a day, or after that day it does not hold.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from apostille.lint.nodes import Place
from apostille.lint.objects import Object
from apostille.lint.report import Result, Suppression
from apostille.lint.rules import SUPPRESSION, UNUSED

ANNOTATION = "lint.apostille.dev/ignore"
_COMMENT = re.compile(r"#\s*apostille-lint:\s*(.*?)\s*$")
_WRITTEN = re.compile(r"ignore\s+([A-Za-z0-9, -]+?)\s+until\s+([0-9]{4}-[0-9]{2}-[0-9]{2})\s*:\s*(\S.*)")


@dataclass(frozen=True, slots=True)
class Written:
    """Suppressions of all files. ``lines`` says by file and line which stand there."""

    lines: Mapping[str, Mapping[int, Suppression]]
    objects: Mapping[int, Sequence[Suppression]]
    """By identity of the object's root."""
    wrong: Sequence[Result]


def read(texts: Mapping[str, str], objects: Iterable[Object], known: Collection[str], today: date) -> Written:
    """All that is written; what does not hold is a result."""
    wrong: list[Result] = []
    lines: dict[str, dict[int, Suppression]] = {}
    for file, text in texts.items():
        if "apostille-lint:" not in text:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if (match := _COMMENT.search(line)) is None:
                continue
            place = Place(number, match.start() + 1, max(1, len(line) - match.start()))
            found = _parsed(match[1], file, place, known, today)
            if isinstance(found, Result):
                wrong.append(found)
            else:
                lines.setdefault(file, {})[number] = found
    by_object: dict[int, list[Suppression]] = {}
    for one in objects:
        if (text_ := one.annotations.get(ANNOTATION)) is None or one.live:
            continue
        place = one.place(f"metadata.annotations[{ANNOTATION}]")
        for part in str(text_).split(";"):
            found = _parsed(f"ignore {part.strip()}", one.file, place, known, today)
            if isinstance(found, Result):
                wrong.append(found)
            else:
                by_object.setdefault(id(one.root), []).append(found)
    return Written(lines, by_object, wrong)


def _parsed(text: str, file: str, place: Place, known: Collection[str], today: date) -> Suppression | Result:
    def wrong(message: str) -> Result:
        return Result(SUPPRESSION.at("", message), file, place, "suppression")

    match = _WRITTEN.fullmatch(text)
    if match is None:
        return wrong(f"{text!r} names no rule, no day or no reason")
    rules = tuple(part for part in re.split(r"[,\s]+", match[1]) if part)
    if unknown := [rule for rule in rules if rule not in known]:
        return wrong(f"there is no rule {unknown[0]}")
    try:
        until = date.fromisoformat(match[2])
    except ValueError:
        return wrong(f"there is no day {match[2]}")
    if until < today:
        return wrong(f"it ended on {until}: {match[3]}")
    return Suppression(file, place, rules, until, match[3])


def apply(results: Iterable[tuple[Result, int | None]], written: Written, texts: Mapping[str, str]) -> list[Result]:
    """Results with their suppressions, and those on suppressions themselves. An identity names a result's object."""
    used: set[tuple[str, Place]] = set()
    split = {file: texts[file].splitlines() for file in written.lines}
    made = []
    for result, root in results:
        found = _suppression(result, root, written, split)
        if found is not None:
            used.add((found.file, found.place))
        made.append(replace(result, suppressed=found))
    made += written.wrong
    everything = [one for of in written.lines.values() for one in of.values()]
    everything += [one for of in written.objects.values() for one in of]
    made += [
        Result(UNUSED.at("", f"{', '.join(one.rules)} is not found here"), one.file, one.place, "suppression")
        for one in dict.fromkeys(everything)
        if (one.file, one.place) not in used
    ]
    return made


def _suppression(
    result: Result, root: int | None, written: Written, split: Mapping[str, list[str]]
) -> Suppression | None:
    rule = result.finding.rule.id
    for one in written.objects.get(root, ()) if root is not None else ():
        if rule in one.rules:
            return one
    lines = written.lines.get(result.file, {})
    if not lines:
        return None
    text = split[result.file]
    number = result.place.line
    while number > 0:
        if (here := lines.get(number)) is not None and rule in here.rules:
            return here
        number -= 1
        # On from the line itself through the comments directly above it.
        if number < 1 or not text[number - 1].lstrip().startswith("#"):
            return None
    return None
