"""What an API server of a version would say to an object's shape, by the schemas kept in ``schemas/``."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft7Validator

from apostille_testbed.api_schemas import FOLDER, KUBERNETES

VERSIONS = tuple(KUBERNETES)


def complaints(version: str, document: dict[str, Any]) -> Iterator[str]:
    """What is unknown or of a wrong type, with its place; a kind that the version does not have is one too."""
    yield from _complaints(version, json.dumps(document, sort_keys=True))


@functools.cache
def _complaints(version: str, text: str) -> tuple[str, ...]:
    document = json.loads(text)
    kind = f"{document['apiVersion']}/{document['kind']}"
    validator = _validator(version, kind)
    if validator is None:
        return (f"{kind}: not served by {version}",)
    name = document["metadata"]["name"]
    return tuple(
        f"{kind} {name}: {'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"
        for error in validator.iter_errors(document)
    )


@functools.cache
def _validator(version: str, kind: str) -> Draft7Validator | None:
    for file in (f"kubernetes-{version}", "extensions"):
        schemas = _schemas(file)
        if kind in schemas:
            return Draft7Validator({**schemas, **schemas[kind]})
    return None


@functools.cache
def _schemas(file: str) -> dict[str, Any]:
    schemas: dict[str, Any] = json.loads((FOLDER / f"{file}.json").read_text())
    return schemas
