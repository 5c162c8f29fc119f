"""Reconciles one FederationTrust: rendered access into a ConfigMap, then its status."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from apostille.controller.generated import Generated
from apostille.controller.instances import Instances
from apostille.controller.state import State
from apostille.controller.writer import StatusWriter
from apostille.core.access import DesiredAccess, access, pinned
from apostille.core.judge import shares_audience
from apostille.core.resolve import ResolvedTrust
from apostille.core.status import TrustFacts, invalid_status, trust_status
from apostille.kinds.federation_trust import FederationTrust
from apostille.kube.client import TRUSTS
from apostille.model import names

MANAGER = "apostille/access"
CONFIG_MAP = "ConfigMap"


class TrustReconciler:
    """One trust at a time."""

    def __init__(self, generated: Generated, state: State, writer: StatusWriter, instances: Instances) -> None:
        self._generated, self._state, self._writer, self._instances = generated, state, writer, instances

    def rendered(self) -> list[str]:
        """Names of trusts, gone ones too, of which there are rendered documents."""
        found = self._generated.names(CONFIG_MAP)
        return [name.removeprefix(names.ACCESS_PREFIX) for name in found if name.startswith(names.ACCESS_PREFIX)]

    async def reconcile(self, name: str) -> None:
        """Raises ApiError."""
        path = TRUSTS.path(name, subresource="status")
        known, view = self._state.trusts.get(name), self._state.view()
        resolved = view.world.trusts.get(name)
        if (unreadable := self._state.unreadable.get((names.TRUST_PLURAL, "", name))) is not None:
            # Its documents stay as they are: what the relying party holds has not changed.
            await self._writer.write(path, unreadable, invalid_status(unreadable, datetime.now(UTC)))
            return
        if known is None or resolved is None:
            await self._withdraw(name)
            self._writer.forget(path)
            return
        bindings = view.of_trust.get(name, ())
        desired, error = self._access(resolved)
        if resolved.accepted:
            await self._render(resolved.trust, desired)
        facts = TrustFacts(
            bindings=bindings,
            issuer=self._state.issuer,
            issuer_error=self._state.issuer_error,
            access=desired,
            access_error=error,
            foreign=self._state.foreign(name),
            requests=self._state.requests(name),
            in_force=self._state.in_force,
            shares_with=shares_audience(resolved.trust, (other.trust for other in view.world.trusts.values())),
        )
        await self._writer.write(path, known, trust_status(resolved, facts, datetime.now(UTC)))

    def _access(self, resolved: ResolvedTrust) -> tuple[DesiredAccess | None, str]:
        if self._state.issuer is None or not resolved.accepted:
            return None, ""
        try:
            bindings = self._state.view().of_trust.get(resolved.trust.name, ())
            needed = pinned(resolved.trust, bindings)
            uids = self._instances.uids(needed) if needed else {}
            if uids is None:
                return None, ""  # they are being listed; everybody who asked is told when they are there
            return access(resolved.trust, bindings, self._state.issuer, uids), ""
        except ValueError as error:
            return None, str(error)

    async def _render(self, trust: FederationTrust, desired: DesiredAccess | None) -> None:
        if trust.spec.configuration.mode != "Render":
            await self._withdraw(trust.name)
            return
        # What the far side would refuse is not handed out: the last good documents stay until the finding is mended.
        if desired is None or desired.findings:
            return
        body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": CONFIG_MAP,
            "metadata": {
                "name": names.ACCESS_PREFIX + trust.name,
                "namespace": self._state.own_namespace,
                "labels": {names.MANAGED_LABEL: names.MANAGED},
                "annotations": {"apostille.dev/digest": desired.digest},
                "ownerReferences": [
                    {"apiVersion": names.API_VERSION, "kind": names.TRUST_KIND, "name": trust.name, "uid": trust.uid}
                ],
            },
            "data": dict(desired.files),
        }
        await self._generated.write(body, MANAGER)

    async def _withdraw(self, trust: str) -> None:
        if self._generated.get(CONFIG_MAP, names.ACCESS_PREFIX + trust) is not None:
            await self._generated.remove(CONFIG_MAP, names.ACCESS_PREFIX + trust)
