"""Running pods follow their bindings: annotations are updated, the kubelet carries them into the pods."""

from __future__ import annotations

import asyncio
import logging

from apostille.controller.state import State
from apostille.core.desired import plans_for
from apostille.core.pods import PodFacts, follow
from apostille.kube.client import PODS, ApiError, Client

log = logging.getLogger(__name__)

PARALLEL = 16


class Followers:
    """Only annotations under Apostille's prefixes are ever written, on pods that carry a plan."""

    def __init__(self, client: Client, state: State) -> None:
        self._client, self._state = client, state

    async def reconcile(self) -> None:
        """All pods that are behind, in parallel. Raises the first ApiError, after all were tried."""
        plans = {account: plans_for(self._state.world(), account) for account in {p.account for p in self._carriers()}}
        changes = [(pod, changed) for pod in self._carriers() if (changed := follow(pod, plans[pod.account]))]
        limit = asyncio.Semaphore(PARALLEL)

        async def patch(pod: PodFacts, annotations: dict[str, str | None]) -> None:
            async with limit:
                try:
                    await self._client.merge(
                        PODS.path(pod.name, namespace=pod.namespace), {"metadata": {"annotations": annotations}}
                    )
                    log.info("pod follows", extra={"namespace": pod.namespace, "pod": pod.name})
                except ApiError as error:
                    if error.code != 404:
                        raise

        results = await asyncio.gather(*(patch(*change) for change in changes), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _carriers(self) -> list[PodFacts]:
        return [pod for pod in self._state.pods if pod.plan]
