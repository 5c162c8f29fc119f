"""Token requests for audiences that are to be enforced one day: who asks for them is noted, nobody is refused.

Notes go into a ConfigMap, once a day for each user, in batches: the request itself never waits for a write.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from apostille.admission.declared import Declared
from apostille.admission.review import answer
from apostille.core.observed import MOST, TokenRequest
from apostille.kube.client import CONFIG_MAPS, ApiError, Client
from apostille.model.identity import ServiceAccount
from apostille.model.names import OBSERVED
from apostille.telemetry.logging import about

log = logging.getLogger(__name__)

WRITE_SECONDS = 2.0
MAX_USER = 128


class Observe:
    """Answers ``/observe``."""

    def __init__(self, client: Client, declared: Declared) -> None:
        self._client, self._declared = client, declared
        self._noted: set[TokenRequest] = set()
        self._pending: set[TokenRequest] = set()
        self._some = asyncio.Event()

    async def __call__(self, request: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        """The AdmissionReview to send back: always that it is allowed."""
        spec = (request.get("object") or {}).get("spec") or {}
        account = ServiceAccount(str(request.get("namespace", "")), str(request.get("name", "")))
        user = str((request.get("userInfo") or {}).get("username", ""))[:MAX_USER]
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        observed = {
            trust.audience for trust in self._declared.known_trusts() if trust.spec.enforcement.observe_token_requests
        }
        # A webhook has no side effects on a dry run.
        for audience in () if request.get("dryRun") else observed.intersection(spec.get("audiences") or ()):
            note = TokenRequest(account, str(audience), user, today)
            if note not in self._noted and len(self._pending) < MOST:
                self._pending.add(note)
                self._some.set()
        return answer(request)

    async def run(self) -> None:
        """Writes what is noted, until cancelled. What cannot be written is tried again."""
        while True:
            await self._some.wait()
            await asyncio.sleep(WRITE_SECONDS)
            self._some.clear()
            batch = set(self._pending)
            try:
                await self._client.merge(
                    CONFIG_MAPS.path(OBSERVED, namespace=self._declared.own_namespace),
                    {"data": {note.key: note.written() for note in batch}},
                )
            except ApiError as error:
                named = about(CONFIG_MAPS.kind, OBSERVED, self._declared.own_namespace)
                log.warning("token requests not noted", extra={**named, "reason": str(error), "requests": len(batch)})
                self._some.set()
                continue
            self._pending -= batch
            self._noted = {note for note in self._noted if note.seen == max(n.seen for n in batch)} | batch
