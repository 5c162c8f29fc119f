"""What the chart renders for values, each once in a run."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from apostille_testbed.chart import CHART, NAMESPACE, RELEASE, helm

Values = Mapping[str, Any]
Objects = list[dict[str, Any]]

DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())


def text(values: Values, *arguments: str) -> str:
    """YAML as Helm writes it. Raises HelmError."""
    return _text(json.dumps(values, sort_keys=True), arguments)


def objects(values: Values) -> Objects:
    """The objects. Raises HelmError."""
    return [document for document in yaml.load_all(text(values), yaml.CSafeLoader) if document]


def prepare(many: Iterable[Values]) -> None:
    """Renders them, two at a time, so that `text` has them. Raises HelmError."""
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(text, many))


def one(documents: Objects, kind: str, name: str) -> dict[str, Any]:
    """The object of that kind and name."""
    (found,) = [d for d in documents if (d["kind"], d["metadata"]["name"]) == (kind, name)]
    return found


def overlaid(below: Values, above: Values) -> dict[str, Any]:
    """As Helm lays one file of values over another."""
    made = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(made.get(key), Mapping):
            made[key] = overlaid(made[key], value)
        else:
            made[key] = value
    return made


@functools.cache
def _text(values: str, arguments: tuple[str, ...]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "values.yaml"
        file.write_text(values)  # JSON is YAML
        return helm("template", RELEASE, CHART, f"--namespace={NAMESPACE}", f"--values={file}", *arguments)
