"""``docs/reference/``: both kinds field by field, from the schemas that the API server enforces."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from apostille.kinds.crds import federation_trust, workload_binding
from apostille_generate.markdown import NOTE, code, table

FOLDERS = ("docs/reference",)

Schema = Mapping[str, Any]


def files(root: Path) -> dict[str, str]:
    """Path to text."""
    made = (federation_trust(), workload_binding())
    pages = {f"docs/reference/{crd['spec']['names']['plural']}.md": _page(crd) for crd in made}
    return {"docs/reference/README.md": _index(made), **pages}


def _index(made: tuple[dict[str, Any], ...]) -> str:
    rows = [
        (
            f"[{crd['spec']['names']['kind']}]({crd['spec']['names']['plural']}.md)",
            ", ".join(code(name) for name in crd["spec"]["names"]["shortNames"]),
            _scope(crd),
            _root(crd)["description"],
        )
        for crd in made
    ]
    return (
        f"{NOTE}# Reference\n\nThe two kinds of `apostille.dev`. In a cluster, `kubectl explain` says the same.\n\n"
        + table(("Kind", "Short", "Scope", ""), rows)
        + "\n[Rules](../rules/README.md) say what is refused, [reasons](../reasons/README.md) what a status tells.\n"
    )


def _page(crd: dict[str, Any]) -> str:
    names, (version,) = crd["spec"]["names"], crd["spec"]["versions"]
    root = _root(crd)
    facts = [
        ("apiVersion", code(f"{crd['spec']['group']}/{version['name']}")),
        ("kind", code(names["kind"])),
        ("kubectl", ", ".join(code(name) for name in (names["plural"], *names["shortNames"]))),
        ("Scope", _scope(crd)),
    ]
    columns = [(column["name"], code(column["jsonPath"])) for column in version["additionalPrinterColumns"]]
    text = f"{NOTE}# {names['kind']}\n\n{root['description']}\n\n{table(('', ''), facts)}"
    text += _rules(root)
    for part in ("spec", "status"):
        for path, schema in _objects(part, root["properties"][part]):
            text += f"\n## {path}\n\n{_described(schema)}{_fields(schema)}{_rules(schema)}"
    return text + "\n## What kubectl get shows\n\n" + table(("Column", "From"), columns)


def _root(crd: dict[str, Any]) -> dict[str, Any]:
    root: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return root


def _scope(crd: dict[str, Any]) -> str:
    return "cluster" if crd["spec"]["scope"] == "Cluster" else "namespace"


def _objects(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Every object with fields, by its path, parents first."""
    if schema.get("type") == "array":
        yield from _objects(f"{path}[]", schema["items"])
    if "properties" in schema:
        yield path, schema
        for name, child in schema["properties"].items():
            yield from _objects(f"{path}.{name}", child)


def _described(schema: Schema) -> str:
    return f"{schema['description']}\n\n" if "description" in schema else ""


def _fields(schema: Schema) -> str:
    required = schema.get("required", ())
    rows = [
        (
            code(name),
            _type(child),
            "required" if name in required else _default(child),
            "; ".join(_constraints(child)),
            child.get("description", ""),
        )
        for name, child in schema["properties"].items()
    ]
    return table(("Field", "Type", "Default", "Constraints", "Description"), rows)


def _type(schema: Schema) -> str:
    if schema["type"] == "array":
        return f"list of {_type(schema['items'])}"
    return "time" if schema.get("format") == "date-time" else str(schema["type"])


def _default(schema: Schema) -> str:
    if "default" not in schema:
        return ""
    # An object's own defaults stand with its fields.
    return "its fields' defaults" if schema["default"] == {} else code(json.dumps(schema["default"]))


def _constraints(schema: Schema) -> Iterator[str]:
    if "enum" in schema:
        yield "one of " + ", ".join(code(str(value)) for value in schema["enum"])
    yield from _range(schema, "Length", "characters")
    yield from _range(schema, "Items", "entries")
    if "minimum" in schema or "maximum" in schema:
        yield f"{schema.get('minimum', '')} to {schema.get('maximum', '')}"
    if "pattern" in schema:
        yield code(schema["pattern"])
    if schema.get("x-kubernetes-list-type") == "atomic":
        yield "replaced whole by server-side apply"
    if schema.get("type") == "array":
        yield from (f"each {constraint}" for constraint in _constraints(schema["items"]))


def _range(schema: Schema, suffix: str, unit: str) -> Iterator[str]:
    least, most = schema.get(f"min{suffix}"), schema.get(f"max{suffix}")
    if least is not None and most is not None:
        yield f"{least} to {most} {unit}"
    elif most is not None:
        yield f"at most {most} {unit}"
    elif least is not None:
        yield f"at least {least} {unit}"


def _rules(schema: Schema) -> str:
    found = [rule for _, node in _nodes("", schema) for rule in node.get("x-kubernetes-validations", ())]
    return "".join(f"\n* {rule['message']}" for rule in found) + ("\n" if found else "")


def _nodes(path: str, schema: Schema) -> Iterator[tuple[str, Schema]]:
    """The object itself and its plain fields; objects below it speak for themselves."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        if "properties" not in child and "properties" not in child.get("items", {}):
            yield f"{path}.{name}", child
