"""From the API server's JSON to the two kinds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

import msgspec

from apostille.kinds.federation_trust import FederationTrust, FederationTrustSpec, Mode
from apostille.kinds.unions import party_of, target_members
from apostille.kinds.workload_binding import WorkloadBinding, WorkloadBindingSpec
from apostille.model.identity import ServiceAccount
from apostille.model.names import BINDING_KIND, TRUST_KIND

T = TypeVar("T")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


class InvalidObject(ValueError):
    """An object that does not fit its schema; the message names the field."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An object that does not fit its schema: what can be said of it all the same. ``error`` names the field."""

    kind: str
    raw: Mapping[str, Any]
    error: str

    @property
    def namespace(self) -> str:
        """Empty for a cluster-scoped object."""
        return str(self.raw["metadata"].get("namespace", ""))

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.raw["metadata"]["name"])

    @property
    def uid(self) -> str:
        """Its uid."""
        return str(self.raw["metadata"].get("uid", ""))

    @property
    def said(self) -> str:
        """Which object it is and why it cannot be read, as the beginning of a sentence."""
        name = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {name} cannot be read by this version of Apostille ({self.error})"

    @property
    def raw_status(self) -> dict[str, Any]:
        """Whatever the last writer left."""
        return dict(self.raw.get("status") or {})

    @property
    def audience(self) -> str:
        """The audience of a FederationTrust, as far as it is one; else empty."""
        audience = self._of(self.raw.get("spec"), "audience")
        return audience if isinstance(audience, str) else ""

    @property
    def enforcement(self) -> tuple[Mode, bool]:
        """Mode and ``force`` of a FederationTrust; a mode that this version does not know closes."""
        enforcement = self._of(self.raw.get("spec"), "enforcement")
        mode = self._of(enforcement, "mode")
        known: Mode = next((one for one in get_args(Mode) if one == mode), "Enforce" if mode else "Audit")
        return known, self._of(enforcement, "force") is True

    @property
    def suspended(self) -> bool:
        """Whether it says that nothing is to be granted."""
        return self._of(self.raw.get("spec"), "suspended") is True

    @property
    def trust_name(self) -> str:
        """The trust of a WorkloadBinding, as far as it names one; else empty."""
        name = self._of(self._of(self.raw.get("spec"), "trustRef"), "name")
        return name if isinstance(name, str) else ""

    @property
    def service_accounts(self) -> tuple[ServiceAccount, ...]:
        """The pairs that a WorkloadBinding binds, as far as they can be names (RFC 1123)."""
        names = self._of(self._of(self.raw.get("spec"), "subject"), "serviceAccountNames")
        found = (name for name in (names if isinstance(names, list) else ()) if isinstance(name, str))
        return tuple(ServiceAccount(self.namespace, name) for name in found if _NAME.fullmatch(name))

    @staticmethod
    def _of(node: Any, key: str) -> Any:
        return node.get(key) if isinstance(node, Mapping) else None


def trust_or_not(raw: Mapping[str, Any]) -> FederationTrust | Unreadable:
    """What can be said of a FederationTrust, whatever it is like."""
    try:
        return federation_trust(raw)
    except InvalidObject as error:
        return Unreadable(TRUST_KIND, raw, str(error))


def binding_or_not(raw: Mapping[str, Any]) -> WorkloadBinding | Unreadable:
    """What can be said of a WorkloadBinding, whatever it is like."""
    try:
        return workload_binding(raw)
    except InvalidObject as error:
        return Unreadable(BINDING_KIND, raw, str(error))


def federation_trust(raw: Mapping[str, Any]) -> FederationTrust:
    """Raises InvalidObject, for instance when an object was stored under an older schema."""
    metadata = raw.get("metadata") or {}
    spec = _spec(raw, FederationTrustSpec)
    try:
        party_of(spec.relying_party)
    except ValueError as error:
        raise InvalidObject(str(error)) from None
    return FederationTrust(
        name=metadata.get("name", ""),
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 0),
        spec=spec,
        raw_status=raw.get("status") or {},
    )


def workload_binding(raw: Mapping[str, Any]) -> WorkloadBinding:
    """Raises InvalidObject."""
    metadata = raw.get("metadata") or {}
    spec = _spec(raw, WorkloadBindingSpec)
    if len(target_members(spec.target)) != 1:
        raise InvalidObject("spec.target: name exactly one target")
    return WorkloadBinding(
        namespace=metadata.get("namespace", ""),
        name=metadata.get("name", ""),
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 0),
        spec=spec,
        raw_status=raw.get("status") or {},
        created=str(metadata.get("creationTimestamp") or ""),
    )


def _spec(raw: Mapping[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(raw.get("spec"), kind)
    except msgspec.ValidationError as error:
        # msgspec: "Expected `str`, got `int` - at `$.relyingParty.aws.region`"
        message, _, where = str(error).partition(" - at `$")
        raise InvalidObject(f"spec{where.rstrip('`')}: {message}") from None
