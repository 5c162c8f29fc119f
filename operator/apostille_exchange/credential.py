"""What an exchange yields."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Credential:
    """A short-lived credential: ``values`` by the grant's own names, ``expires`` in seconds since the epoch.

    ``public`` is the part of it that a relying party logs too (an access key id), the only one that may be hashed
    into our logs. ``lease`` is for how many seconds it was granted, for those that can be renewed.
    """

    values: Mapping[str, str] = field(repr=False)
    expires: float
    public: str = field(repr=False)
    lease: float = 0.0

    @property
    def fingerprint(self) -> str:
        """Joins our log with the party's without showing anything."""
        return hashlib.sha256(self.public.encode()).hexdigest()[:16]
