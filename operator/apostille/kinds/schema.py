"""From msgspec's JSON schema to a structural OpenAPI v3 schema (apiextensions.k8s.io/v1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

_KEPT = (
    "description", "type", "format", "enum", "pattern", "minLength", "maxLength", "minimum", "maximum", "minItems",
    "maxItems", "default", "required", "x-kubernetes-validations", "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
)  # fmt: skip
# A structural schema knows no format for a 64-bit integer but this one.
_INTEGER_FORMAT = "int64"


def structural(kind: type[msgspec.Struct], *, defaults: bool = True) -> dict[str, Any]:
    """The structural schema of a Struct: references inlined, nullable unions made optional, titles dropped.

    ``defaults=False`` for a status: what nobody wrote must not look as if somebody had found it.
    """
    schema = msgspec.json.schema(kind)
    converted = _convert(schema, schema.get("$defs", {}))
    return converted if defaults else _without_defaults(converted)


def _without_defaults(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_defaults(value) for key, value in node.items() if key != "default"}
    return [_without_defaults(value) for value in node] if isinstance(node, list) else node


def _convert(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    own = dict(node)
    for union in ("anyOf", "oneOf"):
        # `X | None` is how an optional member is written; an absent field needs no null in the schema.
        if union in own:
            (only,) = [part for part in own.pop(union) if part.get("type") != "null"]
            own = {**only, **own}
    if "$ref" in own:
        target = definitions[own.pop("$ref").rpartition("/")[2]]
        rules = [*target.get("x-kubernetes-validations", ()), *own.get("x-kubernetes-validations", ())]
        own = {**target, **own} | ({"x-kubernetes-validations": rules} if rules else {})
        if _all_optional(target) and "default" not in own:
            own["default"] = {}
    result = {key: own[key] for key in _KEPT if key in own and not (key == "default" and own[key] is None)}
    if "enum" in result:
        result.setdefault("type", "string")
    if result.get("type") == "integer":
        result["format"] = _INTEGER_FORMAT
    if "properties" in own:
        result["properties"] = {name: _convert(child, definitions) for name, child in own["properties"].items()}
        for name in result.get("required", ()):
            result["properties"][name].pop("default", None)
        if not result.get("required"):
            result.pop("required", None)
    if "items" in own:
        result["items"] = _convert(own["items"], definitions)
    return result


def _all_optional(definition: Mapping[str, Any]) -> bool:
    """Objects whose every field has a default appear with these defaults, so that nothing is left to the reader."""
    return definition.get("type") == "object" and not definition.get("required")
