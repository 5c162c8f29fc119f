"""What was added to an object between applying and storing it, as lines of a difference."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import yaml

Object = Mapping[str, Any]

# What the API server itself, the scheduler and kubectl add to every pod: none of it is admission webhooks' doing.
_SERVERS = {
    "": {"status"},
    "metadata": {"creationTimestamp", "generation", "managedFields", "resourceVersion", "uid"},
    "metadata.annotations": {"kubectl.kubernetes.io/last-applied-configuration"},
    "spec": {
        "dnsPolicy", "enableServiceLinks", "nodeName", "preemptionPolicy", "priority", "restartPolicy", "schedulerName",
        "securityContext", "serviceAccount", "terminationGracePeriodSeconds", "tolerations",
    },
    "spec.containers": {"imagePullPolicy", "resources", "terminationMessagePath", "terminationMessagePolicy"},
    "spec.initContainers": {"terminationMessagePath", "terminationMessagePolicy"},
}  # fmt: skip
_API_TOKEN = "kube-api-access-"
_HIDDEN = "…"


def added(applied: Object, stored: Object, fold: Collection[str] = ()) -> list[str]:
    """The YAML of ``stored`` as far as it is more than ``applied``: ``+ `` before what is new, ``  `` before its place.

    Args:
        applied: a pod as it was given to kubectl.
        stored: the same pod as the API server has it.
        fold: keys of new mappings whose content is shown as ``…``.
    """
    return _mapping(applied, _without_defaults(applied, stored, ""), "", fold)


def hidden(applied: Object, stored: Object) -> int:
    """How many lines of YAML the API server's own defaults in ``stored`` are, its status not counted."""
    told = {key: value for key, value in stored.items() if key != "status"}
    return len(_dump(told)) - len(_dump(_without_defaults(applied, told, "")))


def _mapping(applied: Object, stored: Object, indent: str, fold: Collection[str]) -> list[str]:
    lines: list[str] = []
    for key, value in stored.items():
        if key not in applied:
            lines += [f"+ {indent}{line}" for line in _dump({key: _folded(value, fold)})]
        elif value != applied[key]:
            lines.append(f"  {indent}{key}:")
            if isinstance(value, Mapping):
                lines += _mapping(applied[key], value, f"{indent}  ", fold)
            elif isinstance(value, list):
                lines += _list(applied[key], value, indent, fold)
            else:
                lines[-1] = f"+ {indent}{key}: {value}"
    return lines


def _list(applied: list[Any], stored: list[Any], indent: str, fold: Collection[str]) -> list[str]:
    lines: list[str] = []
    known = {item["name"]: item for item in applied if isinstance(item, Mapping) and "name" in item}
    for item in stored:
        same = known.get(item.get("name")) if isinstance(item, Mapping) else None
        if same is not None and same != item:
            lines.append(f"  {indent}- name: {item['name']}")
            lines += _mapping(same, item, f"{indent}  ", fold)
        elif same is None and item not in applied:
            lines += [f"+ {indent}{line}" for line in _dump([_folded(item, fold)])]
    return lines


def _without_defaults(applied: Object, stored: Object, where: str) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in stored.items():
        if key not in applied and key in _SERVERS.get(where, ()):
            continue
        own = applied.get(key)
        path = f"{where}.{key}" if where else key
        if isinstance(value, Mapping):
            value = _without_defaults(own if isinstance(own, Mapping) else {}, value, path)
            if not value and own is None:
                continue
        elif isinstance(value, list):
            value = _items_without_defaults(own if isinstance(own, list) else [], value, path)
            if not value and own is None:
                continue
        kept[key] = value
    return kept


def _items_without_defaults(applied: list[Any], stored: list[Any], path: str) -> list[Any]:
    known = {item["name"]: item for item in applied if isinstance(item, Mapping) and "name" in item}
    kept: list[Any] = []
    for item in stored:
        if not isinstance(item, Mapping):
            kept.append(item)
        elif not str(item.get("name", "")).startswith(_API_TOKEN):
            kept.append(_without_defaults(known.get(item.get("name"), {}), item, path))
    return kept


def _folded(value: Any, fold: Collection[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _HIDDEN if key in fold else _folded(item, fold) for key, item in _name_first(value).items()}
    if isinstance(value, list):
        return [_folded(item, fold) for item in value]
    return value


def _name_first(value: Object) -> Object:
    return {"name": value["name"], **value} if "name" in value else value


def _dump(value: Any) -> list[str]:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10_000)
    return text.splitlines()
