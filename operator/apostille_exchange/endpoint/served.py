"""What an endpoint may give away now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from apostille_exchange.credential import Credential


@dataclass(frozen=True, slots=True)
class Served:
    """What is held now: ``why`` says (code, message) why there is nothing, where ``credential`` is None."""

    credential: Credential | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    why: tuple[str, str] = ("NotReady", "no credential yet")
