"""What a namespace says about the rules, in an annotation: it may deny what elsewhere is warned of, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apostille.model.names import RULES_ANNOTATION
from apostille.parties.registry import catalogue
from apostille.rules.modes import Modes


@dataclass(frozen=True, slots=True)
class Tightening:
    """``wrong`` are sentences on what of the annotation was not understood."""

    modes: Modes
    wrong: tuple[str, ...] = ()


def tightening(namespace: Mapping[str, Any]) -> Tightening | None:
    """Of a Namespace as the API server holds it; None where it says nothing."""
    text = (namespace["metadata"].get("annotations") or {}).get(RULES_ANNOTATION)
    return Tightening(*Modes.tightening(str(text), catalogue())) if text else None
