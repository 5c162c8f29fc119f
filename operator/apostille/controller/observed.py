"""Token requests that admission has noted, as far as they count."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from apostille.core.observed import KEPT, TokenRequest, read
from apostille.model.identity import ServiceAccount


class Observed:
    """Fed by a watch of the ConfigMap that admission writes."""

    def __init__(self) -> None:
        self._requests: frozenset[TokenRequest] = frozenset()
        self.version = 0
        """Changes whenever an answer may; that a request is too old to count shows at the next change or list."""

    def take(self, requests: frozenset[TokenRequest] | None) -> set[str]:
        """What is noted now; returns the audiences that are concerned."""
        before, self._requests = self._requests, requests or frozenset()
        self.version += before != self._requests
        return {request.audience for request in before ^ self._requests}

    def users(
        self, audience: str, granted: Collection[ServiceAccount], ignored_namespaces: Collection[str]
    ) -> dict[str, int]:
        """Service accounts by namespace that have no grant for ``audience`` and had a token requested lately."""
        since = datetime.now(UTC) - KEPT
        accounts = {
            request.account
            for request in self._requests
            if request.audience == audience
            and request.seen >= since
            and request.account not in granted
            and request.account.namespace not in ignored_namespaces
        }
        counts: dict[str, int] = {}
        for account in sorted(accounts):
            counts[account.namespace] = counts.get(account.namespace, 0) + 1
        return counts


def noted(config_map: Mapping[str, Any]) -> frozenset[TokenRequest]:
    """The entries of a ConfigMap as the API server holds it."""
    return read(config_map.get("data") or {})
