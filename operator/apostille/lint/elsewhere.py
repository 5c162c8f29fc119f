"""What lies beside declarations, cannot be read, and is none: other tools' JSON with comments, lock files, data."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from apostille.lint.text import MAX_DOCUMENT, Problem
from apostille.parties.registry import is_document

# No object is without it; nobody who means well writes its letters as escapes, so that these count as well.
_OBJECT = re.compile(r"apiVersion|\\(?:x[4-7]|u00[4-7]|U000000[4-7]|\r?\n)")
_TOLD = 5


def concerns(file: str, text: str) -> bool:
    """Whether it must be said that this cannot be read: an object of Kubernetes or a party's document may be in it.

    Other YAML is somebody else's only where it is larger than any object: a broken line may be what hides the object.
    ``text`` may be any decoding of its bytes that keeps ASCII.
    """
    name = posixpath.basename(file)
    if is_document(name) or "\0" in text:  # UTF-16
        return True
    return not (name.endswith(".json") or len(text) > MAX_DOCUMENT) or _OBJECT.search(text) is not None


def note(passed: Sequence[Problem]) -> str:
    """What was passed over, and why each could not be read."""
    told = [f"{one.file} ({one.message})" for one in passed[:_TOLD]]
    more = [f"{len(passed) - _TOLD} more"] if len(passed) > _TOLD else []
    return f"not read, and no object of Kubernetes: {', '.join([*told, *more])}; name a file to have it judged"
