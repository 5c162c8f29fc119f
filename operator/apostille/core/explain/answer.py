"""The question and the answer: what was read, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from apostille.kinds.decode import Unreadable
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.identity import ServiceAccount

Pod = Mapping[str, Any]


class State(StrEnum):
    """Of one binding in one pod, or of a pod without any. Scripts may rely on them."""

    DELIVERED = "Delivered"
    SKIPPED = "SkippedContainer"
    CONFLICT = "Conflict"
    OLDER = "OlderThanBinding"
    NOT_INJECTED = "NotInjected"
    STALE = "Stale"
    UNDECLARED = "NoLongerDeclared"
    NO_TOKEN = "TokenRefused"  # noqa: S105 - a state
    UNREACHABLE = "PartyUnreachable"
    EXCHANGE_FAILED = "ExchangeFailed"
    STARTING = "Starting"
    TRUST_NOT_FOUND = "TrustNotFound"
    REFUSED = "Refused"
    NOT_YET = "NotYet"
    SUSPENDED = "Suspended"
    EXPIRED = "Expired"
    NOT_JUDGED = "NotJudgedYet"
    ALLOWED = "AllowedNotBound"
    WRONG_ACCOUNT = "WrongServiceAccount"
    NOT_BOUND = "NotBound"
    NOT_INJECTABLE = "NotInjectable"


GOOD = (State.DELIVERED, State.SKIPPED)


@dataclass(frozen=True, slots=True)
class Observed:
    """What was read. ``bindings`` are those of the pod's namespace.

    ``trusts`` are all there are, unless ``unread`` says that they could not be listed: it maps what could not be read
    to the reason. ``events`` are the pod's of the last minutes, oldest first; ``exchange_log`` the last lines of the
    sidecar.
    """

    pod: Pod
    bindings: Sequence[WorkloadBinding | Unreadable] = ()
    trusts: Sequence[FederationTrust | Unreadable] = ()
    events: Sequence[Mapping[str, Any]] = ()
    exchange_log: str = ""
    own_namespace: str = "apostille-system"
    created: Mapping[str, str] = field(default_factory=dict)
    """When a binding was created, by its name."""
    unread: Mapping[str, str] = field(default_factory=dict)

    @property
    def account(self) -> ServiceAccount:
        """Whom the pod runs as."""
        return ServiceAccount(self.namespace, (self.pod.get("spec") or {}).get("serviceAccountName") or "default")

    @property
    def namespace(self) -> str:
        """The pod's."""
        return str((self.pod.get("metadata") or {}).get("namespace", ""))

    @property
    def name(self) -> str:
        """The pod's."""
        return str((self.pod.get("metadata") or {}).get("name", ""))

    @property
    def workload(self) -> str:
        """What owns the pod, as kubectl takes it (``deployment/web``); empty for a pod of its own."""
        metadata = self.pod.get("metadata") or {}
        owner: Mapping[str, Any] = next((o for o in metadata.get("ownerReferences") or () if o.get("controller")), {})
        kind, name = str(owner.get("kind", "")).lower(), str(owner.get("name", ""))
        suffix = (metadata.get("labels") or {}).get("pod-template-hash")
        # Deployments name their ReplicaSets after the hash that they label the pods with.
        if kind == "replicaset" and suffix and name.endswith(f"-{suffix}"):
            return f"deployment/{name.removesuffix(f'-{suffix}')}"
        return f"{kind}/{name}" if owner else ""


TRUSTS = "FederationTrusts"
"""The key in ``Observed.unread`` for trusts that could not be listed."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a binding gives, as far as it is known; empty strings where it is not."""

    trust: str = ""
    party: str = ""
    target: str = ""
    audience: str = ""
    delivery: str = ""
    token_seconds: int = 0
    until: datetime | None = None
    ending_stops_refresh: bool | None = None


@dataclass(frozen=True, slots=True)
class Sidecar:
    """What the exchange sidecar last said of a binding: its state (docs/delivery.md), and when what it holds ends."""

    state: str
    expires: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """One binding in the pod, or with no ``binding`` the pod as such.

    ``change`` is the one line to change or to type, empty where nothing is to be done. ``added`` is what the pod has of
    the binding, by container; the empty name stands for the pod. ``notes`` are what else should be known.
    """

    binding: str
    state: State
    message: str
    change: str = ""
    identity: Identity | None = None
    added: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    sidecar: Sidecar | None = None

    @property
    def good(self) -> bool:
        """Whether the pod has what the binding declares."""
        return self.state in GOOD


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything about one pod."""

    namespace: str
    pod: str
    service_account: str
    answers: Sequence[Answer]
    notes: Sequence[str] = ()

    @property
    def good(self) -> bool:
        """Whether it has an identity, and all that is declared for it."""
        return bool(self.answers) and all(answer.good for answer in self.answers)
