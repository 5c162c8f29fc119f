"""What one binding gives to a pod."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from apostille.core.delivery import shape, wants_sidecar
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model import names
from apostille.parties.party import Delivered, Delivery, Paths, Section
from apostille_exchange.recipe import Admission, Recipe, dumps_admission


@dataclass(frozen=True, slots=True)
class Frozen:
    """What is part of the pod's spec and therefore never changes in a running pod. Only this decides staleness."""

    delivery: Delivery
    audience: str
    token_seconds: int
    include: tuple[str, ...]
    environment: Mapping[str, str]
    admission: Admission | None
    files: Mapping[str, str] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    section: Section | None = None

    def reaches(self, container: str) -> bool:
        """Whether a container of this name gets the identity."""
        return container in self.include if self.include else container not in self.exclude

    @property
    def digest(self) -> str:
        """Over everything that a restart of the pod would change."""
        document = {
            "delivery": self.delivery,
            "audience": self.audience,
            "tokenSeconds": self.token_seconds,
            "include": list(self.include),
            "environment": dict(sorted(self.environment.items())),
            "admission": dumps_admission(self.admission) if self.admission else None,
        }
        if self.files:
            document["files"] = dict(sorted(self.files.items()))
        if self.exclude:
            document["exclude"] = list(self.exclude)
        if self.section is not None:
            document["section"] = [self.section.file, self.section.name, self.section.text]
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Live:
    """What running pods may take over: public files, and the sidecar's recipe."""

    files: Mapping[str, str] = field(default_factory=dict)
    recipe: Recipe | None = None


@dataclass(frozen=True, slots=True)
class PodPlan:
    """One binding's part of a pod. Neither time nor other bindings enter it.

    ``static_credentials`` are variables that would silently win; they only lead to warnings.
    """

    binding: str
    frozen: Frozen
    live: Live
    static_credentials: tuple[str, ...] = ()

    @property
    def files(self) -> Mapping[str, str]:
        """All public files of a pod that is injected now."""
        return {**self.frozen.files, **self.live.files}

    @property
    def shows_files(self) -> bool:
        """Whether its containers have public files to see."""
        return bool(self.files) or self.frozen.section is not None


def paths_of(binding: str) -> Paths:
    """Where a container finds a binding's files."""
    return Paths(
        token=names.token_file(binding),
        credentials=names.credentials_directory(binding),
        files=names.files_directory(binding),
        shared=names.FILES_DIRECTORY,
    )


def delivery_of(trust: FederationTrust, binding: WorkloadBinding) -> Delivery:
    """How it is delivered: as the binding says, else the first way of the party's that serves such a trust."""
    party, spec = trust.party, binding.spec.delivery
    if spec.mode != "Auto":
        return spec.mode
    if wants_sidecar(spec) and "Sidecar" in party.deliveries:
        return "Sidecar"
    return next((way for way in party.deliveries if serves(trust, binding, way)), party.deliveries[0])


def serves(trust: FederationTrust, binding: WorkloadBinding, way: Delivery) -> bool:
    """Whether the party can deliver so, for this trust and target."""
    if way == "TokenOnly":
        return True
    view, own, paths = trust.view, binding.view(trust.party), paths_of(binding.name)
    made = trust.party.exchange(view, own, paths) if way in ("Sidecar", "Init") else trust.party.sdk(view, own, paths)
    return made is not None


def pod_plan(trust: FederationTrust, binding: WorkloadBinding) -> PodPlan:
    """The plan of an accepted binding. Raises ValueError when its target is not one of the trust's party."""
    party, view = trust.party, trust.view
    own = binding.view(party)
    if own.target is None:
        raise ValueError(f"spec.target.{party.member} is missing")
    delivery = delivery_of(trust, binding)
    paths = paths_of(binding.name)
    admission, recipe = None, None
    if delivery in ("Sidecar", "Init"):
        made = party.exchange(view, own, paths)
        if made is None:
            raise ValueError(f"spec.delivery.mode: the sidecar has no exchange for {party.name}")
        exchange, delivered = made
        shaped = shape(binding.name, binding.spec.delivery, exchange, delivered, paths)
        delivered = Delivered(shaped.environment, delivered.files)
        admission = Admission(
            binding=binding.name,
            grant=exchange.grant,
            endpoint=exchange.endpoint,
            audience=trust.audience,
            token=paths.token,
            outputs=shaped.outputs,
            session_seconds=max(trust.spec.ceilings.session_seconds, exchange.party_seconds),
            ca=exchange.ca,
            endpoints=exchange.endpoints,
            settings=exchange.settings,
            within_assertion=trust.spec.ceilings.session_within_assertion,
            serves=shaped.serves,
            notify=shaped.notify,
        )
        recipe = Recipe(binding.name, exchange.parameters, trust.spec.ceilings.session_seconds)
    elif delivery == "TokenOnly":
        delivered = Delivered({})
    else:
        given = party.sdk(view, own, paths)
        if given is None:
            raise ValueError(f"spec.delivery.mode: no SDK exchanges tokens for {party.name}")
        delivered = given
    return PodPlan(
        binding=binding.name,
        frozen=Frozen(
            delivery=delivery,
            audience=trust.audience,
            token_seconds=binding.spec.token.expiration_seconds,
            include=binding.spec.delivery.containers.include,
            environment=delivered.environment if binding.spec.delivery.environment == "Set" else {},
            admission=admission,
            files=delivered.fixed,
            exclude=binding.spec.delivery.containers.exclude,
            section=delivered.section,
        ),
        live=Live(files=delivered.files, recipe=recipe),
        static_credentials=tuple(
            name
            for name in party.static_credentials(view.settings)
            if delivered.section is None or name not in delivered.section.chosen_by
        ),
    )
