"""The interface of a relying party. Pure: documents in, documents out; nothing here knows which party it is.

A party is a folder beside this file and one line in ``registry.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import msgspec

from apostille.model.finding import Finding, Rule
from apostille.model.identity import Issuer, ServiceAccount
from apostille_exchange.recipe import Output

Delivery = Literal["SDK", "Sidecar", "Init", "TokenOnly"]
# native: the members of the vendor's API; cli: one script of the vendor's commands; terraform: Terraform/OpenTofu JSON.
Format = Literal["native", "cli", "terraform"]
FORMATS: tuple[Format, ...] = ("native", "cli", "terraform")
Claims = Mapping[str, Any]


# Who can have the sidecar's exchange can have it once, before the application starts; anybody can have the assertion.
_IMPLIED: Mapping[Delivery, tuple[Delivery, ...]] = {"Sidecar": ("Sidecar", "Init")}


def possible(deliveries: Sequence[Delivery]) -> tuple[Delivery, ...]:
    """All that a binding may ask for where a party itself has these."""
    return (*(mode for own in deliveries for mode in _IMPLIED.get(own, (own,))), "TokenOnly")


def form_of(file: str) -> Format:
    """Which form a rendered file belongs to, by its name."""
    return "cli" if file.endswith(".sh") else "terraform" if file.endswith(".tf.json") else "native"


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
    """What a party sees of a WorkloadBinding. ``target`` is the party's own union member.

    ``created`` is RFC 3339 in UTC, for the order of age; ``uids`` are those of the service accounts by name, complete
    where the trust pins instances (`Party.pins_instances`), empty elsewhere. ``endpoint`` is the type of endpoint that
    the sidecar is to have, or empty; ``profile`` the name by which the SDK is to find this identity, or empty.
    """

    namespace: str
    name: str
    service_accounts: tuple[str, ...]
    target: Any
    created: str = ""
    uids: Mapping[str, str] = field(default_factory=dict)
    endpoint: str = ""
    profile: str = ""

    @property
    def key(self) -> str:
        """``NAMESPACE/NAME``, as messages name it."""
        return f"{self.namespace}/{self.name}"

    @property
    def subjects(self) -> tuple[str, ...]:
        """The exact ``sub`` claims, in order of declaration."""
        return tuple(ServiceAccount(self.namespace, name).subject for name in self.service_accounts)


@dataclass(frozen=True, slots=True)
class Paths:
    """Where a container finds a binding's files: the assertion, the folders of credential files and of public files.

    ``shared`` is the folder of public files that all bindings of a pod have together.
    """

    token: str
    credentials: str
    files: str
    shared: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A binding's part of a configuration file that all bindings of a pod share; ``name`` is the part's in the file.

    ``chosen_by`` are variables by which an application says which part it means.
    """

    file: str
    name: str
    text: str
    chosen_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a container gets: environment, and public files (name → text) under Apostille's files directory.

    ``files`` follow the binding in running pods; ``fixed`` are those that say where an assertion goes, and do not.
    ``section`` is there where the binding asks for a profile and the vendor's SDK has such a thing.
    """

    environment: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, str] = field(default_factory=dict)
    section: Section | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """How the sidecar exchanges: what is frozen at admission, and what may follow live (``parameters``).

    ``ca`` is PEM text, empty where the system's authorities decide. ``endpoints`` are further ones and ``settings``
    what a running pod's annotation cannot change, both by names of the grant. ``party_seconds`` is how long the party's
    credentials live whatever is asked for: the pod is admitted for no less. ``credential_file`` is the JSON of a
    client's credential file, to which the sidecar adds its endpoint as the source of the assertion.
    """

    grant: str
    endpoint: str
    outputs: tuple[Output, ...]
    parameters: Mapping[str, str]
    ca: str = ""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    party_seconds: int = 0
    credential_file: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound of the far side, counted over all bindings of a trust.

    ``name`` says what is counted, ``of`` whose it is (a role, an identity). ``over`` is the binding that goes over it,
    as NAMESPACE/NAME, empty while none does; ``rule`` is what is broken then.
    """

    rule: Rule
    name: str
    of: str
    used: int
    most: int
    over: str = ""

    def findings(self, path: str) -> Iterator[Finding]:
        """None while it is kept."""
        if self.over:
            yield self.rule.at(
                path, f"{self.of} would have {self.used} {self.name}, at most {self.most} are possible; "
                f"WorkloadBinding {self.over} goes over it",
            )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who gets in, and why (not). ``reason`` is one of the normalised reasons of cloud-trust §20, or empty."""

    allowed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What documents say is accepted for a target: whose assertions, for which audience; `evaluate` says which of them.

    ``file`` is the document that decides. ``issuer`` is empty where the party compares none.
    """

    file: str
    target: str
    issuer: str
    audience: str


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
    def vendor(self) -> str:
        """Whose service it is, as a message names it."""

    @property
    def configures(self) -> str:
        """What is configured there, in a phrase for tables."""

    @property
    def member(self) -> str:
        """Field of the union: ``spec.relyingParty.<member>``, ``spec.target.<member>``."""

    @property
    def file_names(self) -> str:
        """The names of its native documents: a regular expression for the whole of one."""

    @property
    def target_field(self) -> str:
        """The field of the target that ``target_id`` reads: ``spec.target.<member>.<target_field>`` in findings."""

    @property
    def audiences(self) -> Sequence[str]:
        """Audiences by which it is known, so that no other party is given one: vendors' defaults and resource names.

        Values, prefixes where they end in a slash, and below a domain, where they begin with a dot, every host.
        """

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

    def default_audience(self, trust: TrustView) -> str | None:
        """The vendor's own audience, used when the trust names none; None where there is no such thing."""

    def pins_instances(self, settings: Any) -> bool:
        """Whether the trust asks that a service account of the same name, made anew, is not let in (its UID)."""

    def static_credentials(self, settings: Any) -> Sequence[str]:
        """Environment variables that would silently win over a federated identity."""

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
        """The party's own rules over a trust and all its bindings; limits of the far side apart."""

    def limits(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> Sequence[Limit]:
        """How much of the far side's bounds all bindings use (`limits.counted`)."""

    def access(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> Access:
        """The desired state at the party, over *all* bindings of a trust: exact subjects, exact audience."""

    def parse(self, files: Mapping[str, str]) -> Access:
        """Reads native documents back. Raises ValueError naming the file."""

    def document_findings(self, access: Any) -> Iterable[Finding]:
        """What is too broad, or can never work, in documents as `parse` reads them; paths are ``FILE:FIELD``."""

    def acceptances(self, access: Any) -> Iterable[Acceptance]:
        """Every target with every issuer and audience that documents have for it."""

    def evaluate(self, access: Any, claims: Claims, target: str) -> Verdict:
        """Who gets in, by the party's own semantics."""

    def render(self, access: Any, form: Format) -> Mapping[str, str]:
        """Documents by file name; deterministic. ``cli`` is `shell.FILE`, ``terraform`` `terraform.FILE` alone."""

    def sdk(self, trust: TrustView, binding: BindingView, paths: Paths) -> Delivered | None:
        """What the vendor's SDK needs to exchange the assertion itself; None where none can."""

    def exchange(self, trust: TrustView, binding: BindingView, paths: Paths) -> tuple[Exchange, Delivered] | None:
        """How the sidecar exchanges for it and what the containers then need; None where it cannot."""


@runtime_checkable
class StandsAlone(Protocol):
    """A party some of whose documents people keep alone, in a repository, without the others."""

    @property
    def alone_field(self) -> str:
        """The field of a native document in which such a document stands."""

    def alone(self, document: Any) -> Mapping[str, str] | None:
        """Native documents that are made of it; None for what is none of the party's."""


@runtime_checkable
class JudgesAlone(Protocol):
    """A party that judges some documents as they stand alone: no native documents can be made of them."""

    def alone_findings(self, document: Any) -> Iterable[Finding]:
        """Nothing for what is none of the party's; paths are the document's own fields."""


@runtime_checkable
class GivenKeys(Protocol):
    """A party that may be given the issuer's keys instead of fetching them."""

    def uploaded_keys(self, access: Any) -> Iterable[tuple[str, str, str]]:
        """The keys in its documents: ``FILE:FIELD``, the issuer that they are of, a key set as JSON text."""
