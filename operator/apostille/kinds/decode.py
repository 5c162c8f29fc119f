"""From the API server's JSON to the two kinds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from apostille.kinds.federation_trust import FederationTrust, FederationTrustSpec
from apostille.kinds.unions import party_of, target_members
from apostille.kinds.workload_binding import WorkloadBinding, WorkloadBindingSpec

T = TypeVar("T")


class InvalidObject(ValueError):
    """An object that does not fit its schema; the message names the field."""


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
    )


def _spec(raw: Mapping[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(raw.get("spec"), kind)
    except msgspec.ValidationError as error:
        # msgspec: "Expected `str`, got `int` - at `$.relyingParty.aws.region`"
        message, _, where = str(error).partition(" - at `$")
        raise InvalidObject(f"spec{where.rstrip('`')}: {message}") from None
