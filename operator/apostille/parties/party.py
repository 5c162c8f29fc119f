"""The interface of a relying party. Pure: documents in, documents out; nothing here knows which party it is.

A party is a folder beside this file and one line in ``registry.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import msgspec

from apostille.model.finding import Finding, Rule
from apostille.model.identity import Issuer, ServiceAccount
from apostille_exchange.recipe import Output

Delivery = Literal["SDK", "Sidecar"]
Format = Literal["native"]
Claims = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TrustView:
    """What a party sees of a FederationTrust. ``settings`` is the party's own union member; times are seconds."""

    name: str
    audience: str
    settings: Any
    assertion_seconds: int
    session_seconds: int


@dataclass(frozen=True, slots=True)
class BindingView:
    """What a party sees of a WorkloadBinding. ``target`` is the party's own union member."""

    namespace: str
    name: str
    service_accounts: tuple[str, ...]
    target: Any

    @property
    def subjects(self) -> tuple[str, ...]:
        """The exact ``sub`` claims, in order of declaration."""
        return tuple(ServiceAccount(self.namespace, name).subject for name in self.service_accounts)


@dataclass(frozen=True, slots=True)
class Paths:
    """Where a container finds a binding's files: the assertion, the folders of credential files and of public files."""

    token: str
    credentials: str
    files: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a container gets: environment, and public files (name → text) under Apostille's files directory."""

    environment: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exchange:
    """How the sidecar exchanges: what is frozen at admission, and what may follow live (``parameters``).

    ``ca`` is PEM text, empty where the system's authorities decide. ``endpoints`` are further ones and ``settings``
    what a running pod's annotation cannot change, both by names of the grant.
    """

    grant: str
    endpoint: str
    outputs: tuple[Output, ...]
    parameters: Mapping[str, str]
    ca: str = ""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who gets in, and why (not). ``reason`` is one of the normalised reasons of cloud-trust §20, or empty."""

    allowed: bool
    reason: str = ""


class Access(Protocol):
    """The trust configuration that must exist at a party; a frozen, comparable value."""

    def canonical(self) -> bytes:
        """A deterministic serialisation, for the digest in the trust's status."""


class Party(Protocol):
    """Everything a relying party is, as far as no connection is needed."""

    @property
    def name(self) -> str:
        """Discriminator in ``spec.relyingParty.type``."""

    @property
    def member(self) -> str:
        """Field of the union: ``spec.relyingParty.<member>``, ``spec.target.<member>``."""

    @property
    def Trust(self) -> type[msgspec.Struct]:
        """The union member of a FederationTrust."""

    @property
    def Target(self) -> type[msgspec.Struct]:
        """The union member of a WorkloadBinding's target."""

    @property
    def deliveries(self) -> Sequence[Delivery]:
        """What it can deliver; the first is what ``Auto`` means."""

    @property
    def rules(self) -> Sequence[Rule]:
        """Its own entries of the catalogue."""

    @property
    def static_credentials(self) -> Sequence[str]:
        """Environment variables that would silently win over a federated identity."""

    def default_audience(self, trust: TrustView) -> str | None:
        """The vendor's own audience, used when the trust names none; None where there is no such thing."""

    def addresses(self, settings: Any) -> Mapping[str, str]:
        """URLs that assertions would be sent to and that somebody chose, by field of its union member."""

    def target_id(self, target: Any) -> str:
        """The target as it is named in ``spec.allow[].targets``."""

    def target_label(self, target: Any) -> str:
        """The target as ``kubectl get`` prints it."""

    def check_target_id(self, trust: TrustView, target: str, path: str) -> Iterable[Finding]:
        """Findings on one target, in a trust's allow list or in a binding."""

    def check_subject(self, subject: str, path: str) -> Iterable[Finding]:
        """Findings on one exact ``sub`` claim, in a trust's allow list or in a binding."""

    def findings(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer | None) -> Iterable[Finding]:
        """The party's own rules over a trust and all its bindings, limits of the far side included."""

    def access(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> Access:
        """The desired state at the party, over *all* bindings of a trust: exact subjects, exact audience."""

    def parse(self, files: Mapping[str, str]) -> Access:
        """Reads native documents back. Raises ValueError naming the file."""

    def evaluate(self, access: Any, claims: Claims, target: str) -> Verdict:
        """Who gets in, by the party's own semantics."""

    def render(self, access: Any, form: Format) -> Mapping[str, str]:
        """Documents by file name; deterministic."""

    def sdk(self, trust: TrustView, binding: BindingView, paths: Paths) -> Delivered | None:
        """What the vendor's SDK needs to exchange the assertion itself; None where none can."""

    def exchange(self, trust: TrustView, binding: BindingView, paths: Paths) -> tuple[Exchange, Delivered] | None:
        """How the sidecar exchanges for it and what the containers then need; None where it cannot."""
