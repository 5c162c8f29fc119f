"""What Terraform and its providers would say to a rendered configuration, by the schemas kept in ``schemas/``.

``hack/testbed schemas terraform`` writes them, from what the providers say of themselves.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from apostille_testbed.terraform_schemas import FOLDER

Json = Any

_TYPES: Mapping[str, tuple[type, ...]] = {"string": (str,), "number": (int, float), "bool": (bool,)}
# Terraform language, "Meta-Arguments".
_META = frozenset({"count", "depends_on", "for_each", "lifecycle", "provider", "provisioner"})
_TEMPLATE = re.compile(r"(?<![$])\$\{([^}]*)\}|(?<!%)%\{([^}]*)\}")


@functools.cache
def resources() -> Mapping[str, tuple[str, Json]]:
    """Resource to its provider and its arguments."""
    found = {}
    for file in sorted(FOLDER.glob("*.json")):
        provider = json.loads(file.read_text())
        for kind, arguments in provider["resources"].items():
            found[kind] = (provider["provider"], arguments)
    return found


def errors(document: Json) -> list[str]:
    """Why Terraform would not take a configuration (JSON syntax), a sentence each; empty: it would."""
    return list(_errors(document))


def _errors(document: Json) -> Iterator[str]:
    sources = {name: one.get("source") for name, one in document["terraform"]["required_providers"].items()}
    declared = {
        f"{kind}.{name}": arguments
        for kind, named in document["resource"].items()
        for name, arguments in named.items()
    }  # fmt: skip
    if unused := set(sources) - {address.partition("_")[0] for address in declared}:
        yield f"required_providers: nothing is of {sorted(unused)}"
    for address, arguments in declared.items():
        kind = address.partition(".")[0]
        if kind not in resources():
            yield f"{address}: no schema of {kind} is kept"
            continue
        provider, schema = resources()[kind]
        if sources.get(kind.partition("_")[0]) != provider:
            yield f"{address}: required_providers has to name {provider}"
        for other in arguments.get("depends_on", ()):
            if other not in declared:
                yield f"{address}.depends_on: there is no {other}"
        given = {key: value for key, value in arguments.items() if key not in _META}
        yield from _object(address, given, schema, declared)
    for name, output in document.get("output", {}).items():
        if set(output) - {"value", "description", "sensitive", "depends_on"} or "value" not in output:
            yield f"output.{name}: value is what an output has"


def _object(at: str, given: Json, schema: Mapping[str, Json], declared: Mapping[str, Json]) -> Iterator[str]:
    for name in sorted(set(given) - set(schema)):
        yield f"{at}: there is no argument {name}"
    for name, one in schema.items():
        if name not in given:
            if one.get("required"):
                yield f"{at}: {name} is required"
        elif one.get("computed"):
            yield f"{at}.{name} cannot be set: the provider computes it"
        else:
            yield from _value(f"{at}.{name}", given[name], one, declared)
    for key in given.get("extra_config", ()) if schema.get("extra_config", {}).get("type") == "map(string)" else ():
        # The provider refuses what has an argument of its own (keycloak/keycloak, extra_config.go).
        if re.sub(r"\W", "_", key) in schema:
            yield f"{at}.extra_config: {key} conflicts with an argument"


def _value(at: str, value: Json, schema: Json, declared: Mapping[str, Json]) -> Iterator[str]:
    kind = schema["type"]
    if kind in ("object", "block", "objects"):
        # A block that is there once may be written as a list of one; a nested attribute may not.
        many = value if isinstance(value, list) else [value]
        if isinstance(value, list) is not (kind == "objects") and not (kind == "block" and len(many) == 1):
            yield f"{at}: {'a list of objects' if kind == 'objects' else 'one object'} is wanted"
            return
        for one in many:
            if not isinstance(one, dict):
                yield f"{at}: an object is wanted"
            else:
                yield from _object(at, one, schema["attributes"], declared)
        return
    outer, _, inner = kind.partition("(")
    if not inner:
        if kind != "any" and (not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "bool")):
            yield f"{at}: a {kind} is wanted"
        yield from _references(at, value, declared)
        return
    children = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict if outer == "map" else list):
        yield f"{at}: a {outer} is wanted"
        return
    for child in children:
        yield from _value(at, child, {"type": inner.removesuffix(")")}, declared)


def _references(at: str, value: Json, declared: Mapping[str, Json]) -> Iterator[str]:
    for found in _TEMPLATE.finditer(value) if isinstance(value, str) else ():
        kind, name, attribute = [*(found[1] or "").split("."), "", ""][:3]
        if f"{kind}.{name}" not in declared or attribute not in resources()[kind][1]:
            yield f"{at}: {found[0]} leads nowhere"
