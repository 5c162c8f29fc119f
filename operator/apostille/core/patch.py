"""JSON Patch (RFC 6902) on raw JSON: one small operation a field, nothing rewritten that is not ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Operation = dict[str, Any]


def pointer(*parts: str | int) -> str:
    """A JSON Pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def merge_list(
    path: str, have: Sequence[Mapping[str, Any]] | None, want: Sequence[Mapping[str, Any]], stale: Sequence[int] = ()
) -> list[Operation]:
    """Brings named entries of an array to what is wanted; other entries keep their place.

    ``stale`` are indices to remove. An entry with the name of a wanted one is replaced where it differs.
    The array is created whole when absent, otherwise extended.
    """
    if not have:
        return [{"op": "add", "path": path, "value": list(want)}] if want else []
    operations: list[Operation] = []
    by_name = {entry.get("name"): (i, entry) for i, entry in enumerate(have) if i not in stale}
    missing = []
    for entry in want:
        if (found := by_name.get(entry.get("name"))) is None:
            missing.append(entry)
        elif found[1] != entry:
            operations.append({"op": "replace", "path": f"{path}/{found[0]}", "value": entry})
    operations += [{"op": "remove", "path": f"{path}/{i}"} for i in sorted(stale, reverse=True)]
    operations += [{"op": "add", "path": f"{path}/-", "value": entry} for entry in missing]
    return operations


def merge_map(
    path: str, have: Mapping[str, str] | None, want: Mapping[str, str], stale: Sequence[str] = ()
) -> list[Operation]:
    """The same for an object of strings (annotations, labels)."""
    if have is None:
        return [{"op": "add", "path": path, "value": dict(want)}] if want else []
    operations: list[Operation] = [{"op": "remove", "path": path + pointer(key)} for key in stale]
    for key, value in want.items():
        if key not in have:
            operations.append({"op": "add", "path": path + pointer(key), "value": value})
        elif have[key] != value:
            operations.append({"op": "replace", "path": path + pointer(key), "value": value})
    return operations
