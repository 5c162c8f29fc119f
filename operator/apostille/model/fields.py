"""How fields of the kinds are described, for the kinds themselves and for the parties' members of their unions."""

from __future__ import annotations

from typing import Any

from msgspec import Meta


def doc(text: str, **constraints: Any) -> Meta:
    """A field's description in API style, with JSON-schema constraints."""
    return Meta(description=text, **constraints)


# Lists that grant anything: server-side apply by two managers would add up a `set`.
ATOMIC = Meta(extra_json_schema={"x-kubernetes-list-type": "atomic"})
