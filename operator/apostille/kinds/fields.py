"""Field types that both kinds use, and how a schema rule is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated

from msgspec import Meta

from apostille.model.fields import ATOMIC, doc

__all__ = ["ATOMIC", "LABEL", "Namespace", "Seconds", "ServiceAccountName", "Time", "cel", "doc", "immutable"]

LABEL = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

Namespace = Annotated[str, Meta(max_length=63, min_length=1)]
ServiceAccountName = Annotated[str, Meta(max_length=253, min_length=1)]
Seconds = int
Time = Annotated[datetime, Meta(tz=True)]


def cel(rules: Sequence[Mapping[str, str]]) -> Meta:
    """``x-kubernetes-validations`` of a field."""
    return Meta(extra_json_schema={"x-kubernetes-validations": [dict(rule) for rule in rules]})


def immutable(name: str) -> Mapping[str, str]:
    """A transition rule."""
    return {
        "rule": "self == oldSelf",
        "message": f"{name} is immutable: declare a new object and move over, so that nothing is cut off by surprise",
        "reason": "FieldValueForbidden",
    }
