"""What an admission and a recipe together ask for. Security rests on the admission alone (design §7)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from apostille_exchange.grants.grant import Grant
from apostille_exchange.recipe import Admission, Recipe, RecipeError


@dataclass(frozen=True, slots=True)
class Order:
    """An exchange that is within the admission: ``parameters`` are complete, ``session_seconds`` below the ceiling."""

    parameters: Mapping[str, str]
    session_seconds: int
    digest: str


def order(admission: Admission, recipe: Recipe, grant: Grant) -> Order:
    """The recipe, clamped to the admission. Raises RecipeError for one that cannot be followed."""
    where = f"plan.bindings.{recipe.binding}.recipe"
    if recipe.session_seconds <= 0:
        raise RecipeError(f"{where}.sessionSeconds: must be positive")
    grant.check(recipe.parameters, f"{where}.parameters")
    # A party that grants no shorter session gets asked for its shortest; the ceiling is not below it (`Life`).
    seconds = max(min(recipe.session_seconds, admission.session_seconds), grant.shortest_seconds)
    further = [dict(admission.endpoints), dict(admission.settings)]
    document = [admission.grant, admission.endpoint, admission.audience, dict(recipe.parameters), seconds, *further]
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]
    return Order(recipe.parameters, seconds, digest)


def longest_life(admission: Admission) -> float:
    """Seconds that a credential may last by our clock: the ceiling, and what clocks may differ (AWS grants as much)."""
    return admission.session_seconds + 300.0
