"""Reconciles one FederationTrust: rendered access into a ConfigMap, then its status."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from apostille.controller.state import State
from apostille.controller.writer import StatusWriter
from apostille.core.access import DesiredAccess, access
from apostille.core.judge import shares_audience
from apostille.core.resolve import ResolvedTrust
from apostille.core.status import TrustFacts, trust_status
from apostille.kinds.federation_trust import FederationTrust
from apostille.kube.client import CONFIG_MAPS, TRUSTS, Client
from apostille.model import names

MANAGER = "apostille/access"


class TrustReconciler:
    """One trust at a time."""

    def __init__(self, client: Client, state: State, writer: StatusWriter) -> None:
        self._client, self._state, self._writer = client, state, writer
        self._rendered: dict[str, tuple[str, str]] = {}

    async def reconcile(self, name: str) -> float | None:
        """Raises ApiError."""
        world = self._state.world()
        resolved = world.trusts.get(name)
        if resolved is None:
            if name not in self._state.trusts:
                await self._client.delete(self._config_map(name))
                self._rendered.pop(name, None)
            return None
        desired, error = self._access(resolved)
        if resolved.accepted:
            await self._render(resolved.trust, desired)
        facts = TrustFacts(
            bindings=world.of_trust(name),
            issuer=self._state.issuer,
            issuer_error=self._state.issuer_error,
            access=desired,
            access_error=error,
            foreign=self._state.foreign(name),
            in_force=self._state.in_force,
            shares_with=shares_audience(resolved.trust, (other.trust for other in world.trusts.values())),
        )
        status = trust_status(resolved, facts, datetime.now(UTC))
        await self._writer.write(TRUSTS.path(name, subresource="status"), resolved.trust, status)
        return None

    def _access(self, resolved: ResolvedTrust) -> tuple[DesiredAccess | None, str]:
        if self._state.issuer is None or not resolved.accepted:
            return None, ""
        try:
            return access(resolved.trust, self._state.world().of_trust(resolved.trust.name), self._state.issuer), ""
        except ValueError as error:
            return None, str(error)

    async def _render(self, trust: FederationTrust, desired: DesiredAccess | None) -> None:
        path = self._config_map(trust.name)
        if trust.spec.configuration.mode != "Render":
            await self._client.delete(path)
            self._rendered.pop(trust.name, None)
            return
        # What the far side would refuse is not handed out: the last good documents stay until the finding is mended.
        if desired is None or desired.findings or self._rendered.get(trust.name) == (trust.uid, desired.digest):
            return
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": names.ACCESS_PREFIX + trust.name,
                "namespace": self._state.own_namespace,
                "labels": {"app.kubernetes.io/managed-by": "apostille"},
                "annotations": {"apostille.dev/digest": desired.digest},
                "ownerReferences": [
                    {"apiVersion": names.API_VERSION, "kind": names.TRUST_KIND, "name": trust.name, "uid": trust.uid}
                ],
            },
            "data": dict(desired.files),
        }
        await self._client.apply(path, body, manager=MANAGER)
        self._rendered[trust.name] = (trust.uid, desired.digest)

    def _config_map(self, name: str) -> str:
        return CONFIG_MAPS.path(names.ACCESS_PREFIX + name, namespace=self._state.own_namespace)
