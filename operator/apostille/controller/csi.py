"""CSI drivers that have tokens requested for the pods that mount their volumes (CSIDriver.spec.tokenRequests)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from apostille.controller.pod_index import PodIndex
from apostille.core.pods import PodFacts
from apostille.kube.reflector import Key


class CSI:
    """Fed by watches of drivers and persistent volumes; an audience that no driver asks for costs nothing."""

    def __init__(self) -> None:
        self._audiences: dict[str, tuple[str, ...]] = {}
        self._claims: dict[str, set[Key]] = {}
        self._volumes: dict[str, tuple[str, Key]] = {}
        self.version = 0
        """Changes whenever an answer may."""

    def set_driver(self, name: str, audiences: tuple[str, ...] | None) -> None:
        """What a driver has requested; None for one that is gone."""
        self.version += 1
        self._audiences.pop(name, None)
        if audiences:
            self._audiences[name] = audiences

    def set_volume(self, name: str, claimed: tuple[str, Key] | None) -> None:
        """A persistent volume with its driver and the claim that holds it; None for one that is gone or unclaimed."""
        if (before := self._volumes.pop(name, None)) is not None:
            self._claims[before[0]].discard(before[1])
        if claimed is not None:
            self._volumes[name] = claimed
            self._claims.setdefault(claimed[0], set()).add(claimed[1])
        drivers = {one[0] for one in (before, claimed) if one is not None}
        self.version += bool(drivers & set(self._audiences))

    def pods(self, audience: str, index: PodIndex) -> Iterator[PodFacts]:
        """Pods for which kubelets request tokens for this audience on a driver's behalf."""
        for driver, audiences in self._audiences.items():
            if audience in audiences:
                yield from index.with_driver(driver)
                for namespace, claim in self._claims.get(driver, ()):
                    yield from index.with_claim(namespace, claim)

    def audiences_of(self, pod: PodFacts) -> set[str]:
        """Audiences that are requested for this pod's volumes."""
        claims = {(pod.namespace, claim) for claim in pod.claims}
        return {
            audience
            for driver, audiences in self._audiences.items()
            if driver in pod.drivers or claims & self._claims.get(driver, set())
            for audience in audiences
        }


def requested(driver: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Audiences of a CSIDriver; an empty one is the API server's, which is nobody's business here."""
    requests = (driver.get("spec") or {}).get("tokenRequests") or ()
    return tuple(sorted({str(request["audience"]) for request in requests if request.get("audience")})) or None


def claimed(volume: Mapping[str, Any]) -> tuple[str, Key] | None:
    """Driver and claim of a PersistentVolume; None where it has no driver or no claim."""
    spec = volume.get("spec") or {}
    reference = spec.get("claimRef") or {}
    if not spec.get("csi") or not reference:
        return None
    return str(spec["csi"].get("driver")), (str(reference.get("namespace")), str(reference.get("name")))
