"""Terraform and OpenTofu JSON configuration (Terraform language, "JSON Configuration Syntax")."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

FILE = "main.tf.json"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")


def document(
    providers: Mapping[str, str],
    resources: Mapping[str, Mapping[str, Mapping[str, Any]]],
    outputs: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, str]:
    """The configuration as the one file of its form.

    ``providers`` are local names with their sources and the oldest version that has every argument which may be
    rendered (``keycloak/keycloak 5.8.0``, by the provider's own history); ``resources`` arguments by type and name.
    Every string is taken as it is: nothing in it is a template.
    """
    made: dict[str, Any] = {
        "terraform": {"required_providers": {name: _provider(source) for name, source in providers.items()}},
        "resource": {kind: _literal(dict(named)) for kind, named in resources.items() if named},
    }
    if outputs:
        made["output"] = _literal(dict(outputs))
    return {FILE: json.dumps(made, indent=2, ensure_ascii=True) + "\n"}


def _provider(wanted: str) -> dict[str, str]:
    source, version = wanted.split(" ")
    return {"source": source, "version": f">= {version}"}


def name(text: str) -> str:
    """A resource's name: ``text`` itself where it can be one, else what is readable of it and a digest."""
    if _NAME.fullmatch(text):
        return text
    readable = re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_")[:64]
    return f"_{readable}_{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def reference(kind: str, named: str, attribute: str) -> Reference:
    """An attribute of another resource of the same document, which makes Terraform create that one first."""
    return Reference(f"${{{kind}.{named}.{attribute}}}")


class Reference(str):
    """A template that is meant as one."""

    __slots__ = ()


def _literal(value: Any) -> Any:
    if isinstance(value, Reference):
        return str(value)
    if isinstance(value, str):
        return value.replace("${", "$${").replace("%{", "%%{")
    if isinstance(value, Mapping):
        return {key: _literal(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_literal(child) for child in value]
    return value
