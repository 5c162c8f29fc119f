"""Projected service-account tokens of one pod, renewed when the kubelet would (pkg/kubelet/token/token_manager.go)."""

from __future__ import annotations

import datetime
import logging
import time
from dataclasses import dataclass

from apostille_testbed.pods.api import Api, ApiError, Object

log = logging.getLogger("apostille.testbed.pods")
DAY = 24 * 3600.0


@dataclass(frozen=True)
class _Held:
    token: str
    expires: float
    lifetime: float

    @property
    def due(self) -> float:
        """When it is older than 80 % of its life, or than 24 hours."""
        return min(self.expires - 0.2 * self.lifetime, self.expires - self.lifetime + DAY)


class Tokens:
    """The tokens held for one pod, by (audience, lifetime)."""

    def __init__(self, api: Api, pod: Object) -> None:
        self._api = api
        self._pod = pod
        self._held: dict[tuple[str, int], _Held] = {}

    def forget(self) -> None:
        """What a restart of the kubelet does: every token is asked for again."""
        self._held.clear()

    def next_refresh(self) -> float:
        """Unix time at which the first held token becomes stale; infinity without tokens."""
        return min((held.due for held in self._held.values()), default=float("inf"))

    async def get(self, source: Object) -> str:
        """The token for a `serviceAccountToken` projection, bound to the pod.

        Raises ApiError when the API server refuses and no token that is still valid is held. While one is, a refused
        renewal is not an error, and no Event is written: so does the kubelet.
        """
        key = (source.get("audience", ""), int(source.get("expirationSeconds", 3600)))
        held, now = self._held.get(key), time.time()
        if held and now < held.due:
            return held.token
        meta = self._pod["metadata"]
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [key[0]] if key[0] else [],
                "expirationSeconds": key[1],
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]},
            },
        }
        account = self._pod["spec"].get("serviceAccountName") or "default"
        path = f"/api/v1/namespaces/{meta['namespace']}/serviceaccounts/{account}/token"
        try:
            status = (await self._api.call("POST", path, request))["status"]
        except ApiError as error:
            if held is None:
                raise ApiError(error.status, error.reason, f"failed to fetch token: {error}") from error
            if now >= held.expires:
                raise ApiError(error.status, error.reason, f"token expired and refresh failed: {error}") from error
            log.info("pod %s/%s: couldn't update token: %s", meta["namespace"], meta["name"], error)
            return held.token
        expires = datetime.datetime.fromisoformat(status["expirationTimestamp"]).timestamp()
        # Counted from now and not from what was asked: the API server may have shortened (or extended) it.
        self._held[key] = _Held(status["token"], expires, max(expires - now, 1.0))
        return str(status["token"])
