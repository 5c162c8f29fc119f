"""FederationTrust: which relying party accepts this cluster's assertions, for which audience, from whom."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from apostille.kinds.fields import ATOMIC, Namespace, Seconds, ServiceAccountName, Time, cel, doc
from apostille.kinds.unions import RelyingParty, party_of, relying_party_rules
from apostille.parties.party import Party, TrustView

Mode = Literal["Audit", "Warn", "Enforce"]


class IssuerSpec(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Who signs the assertions."""

    type: Annotated[
        Literal["Cluster"],
        doc("type is Cluster: this cluster's API server signs, its URL is read from the discovery document."),
    ] = "Cluster"


class Enforcement(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What undeclared users of the audience get."""

    mode: Annotated[
        Mode,
        doc(
            "mode says what a token request or a pod gets that uses this audience without a live binding. Audit "
            "records it, Warn answers with a warning, Enforce refuses it. Only under Enforce does ending a binding "
            "stop the refresh of tokens."
        ),
    ] = "Audit"
    force: Annotated[
        bool,
        doc(
            "force enforces also in namespaces where pods use this audience without a binding today. Their next token "
            "refresh is refused. Without force such namespaces are spared and named in status.foreignUsers."
        ),
    ] = False
    observe_token_requests: Annotated[
        bool,
        doc(
            "observeTokenRequests has the API server tell Apostille of token requests for this audience that no "
            "kubelet makes, such as those of External Secrets, so that they are counted in status.foreignUsers before "
            "anything is enforced. It never refuses or delays one for longer than 2 seconds."
        ),
    ] = False


class Ceilings(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Upper bounds, in seconds, that no binding can exceed."""

    assertion_seconds: Annotated[
        Seconds, doc("assertionSeconds is the longest life of an assertion (a projected token).", ge=600, le=86400)
    ] = 3600
    session_seconds: Annotated[
        Seconds, doc("sessionSeconds is the longest life of a credential at the relying party.", ge=900, le=43200)
    ] = 3600
    session_within_assertion: Annotated[
        bool,
        doc(
            "sessionWithinAssertion makes the exchange sidecar ask for no credential, and take none, that would "
            "outlive the assertion it was granted for. An SDK that exchanges by itself is not bound by it."
        ),
    ] = False


class Allow(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One namespace, service accounts of it, and what they may take on. Nothing that is not named is allowed."""

    namespace: Annotated[Namespace, doc("namespace is the exact name of a namespace.")]
    service_accounts: Annotated[
        tuple[ServiceAccountName, ...],
        doc("serviceAccounts are exact names of service accounts in that namespace.", min_length=1, max_length=64),
        ATOMIC,
    ]
    targets: Annotated[
        tuple[
            Annotated[str, doc("An exact target, as the relying party names it.", max_length=2048, min_length=1)], ...
        ],
        doc(
            "targets are the identities that those service accounts may take on, such as role ARNs.",
            min_length=1,
            max_length=64,
        ),
        ATOMIC,
    ]


Rendering = Literal["Native", "CLI", "Terraform"]


class Configuration(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """How the relying party comes to trust this cluster."""

    mode: Annotated[
        Literal["None", "Render"],
        doc(
            "mode Render writes the party's documents to the ConfigMap apostille-access-NAME in Apostille's "
            "namespace; None leaves the far side to you."
        ),
    ] = "Render"
    formats: Annotated[
        tuple[Rendering, ...],
        doc(
            "formats are the documents that mode Render writes: Native, the members of the party's own API; CLI, a "
            "script of the vendor's commands (apply.sh); Terraform, configuration for Terraform or OpenTofu "
            "(main.tf.json).",
            min_length=1,
            max_length=3,
        ),
        ATOMIC,
    ] = ("Native",)


class TrustGovernance(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Until when the trust holds."""

    expires_at: Annotated[
        Time | None, doc("expiresAt ends every binding of this trust at that time, without anybody doing anything.")
    ] = None


class FederationTrustSpec(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What the platform team declares."""

    relying_party: Annotated[
        RelyingParty, doc("relyingParty is who accepts the assertions."), cel(relying_party_rules())
    ]
    audience: Annotated[
        Annotated[str, Meta(max_length=255)] | None,
        doc(
            "audience is the one receiver named in the assertions, compared byte for byte; immutable. Best unique to "
            "this trust; when omitted it is the relying party's own, which other trusts may share."
        ),
    ] = None
    issuer: Annotated[IssuerSpec, doc("issuer signs the assertions.")] = field(default_factory=IssuerSpec)
    allow: Annotated[
        tuple[Allow, ...],
        doc(
            "allow lists who may bind, and to what. What it does not name is not allowed; empty allows nobody.",
            max_length=256,
        ),
        ATOMIC,
    ] = ()
    enforcement: Annotated[Enforcement, doc("enforcement is about undeclared users of this audience.")] = field(
        default_factory=Enforcement
    )
    ceilings: Annotated[Ceilings, doc("ceilings bound every binding.")] = field(default_factory=Ceilings)
    configuration: Annotated[Configuration, doc("configuration is about the relying party's side.")] = field(
        default_factory=Configuration
    )
    governance: Annotated[TrustGovernance, doc("governance says until when the trust holds.")] = field(
        default_factory=TrustGovernance
    )
    shared_audience: Annotated[
        bool,
        doc(
            "sharedAudience accepts that another trust uses the same audience for the same service account. Ending a "
            "binding then does not stop the refresh of tokens while the other trust's binding lives."
        ),
    ] = False
    suspended: Annotated[bool, doc("suspended ends all bindings of this trust while it is true: the kill switch.")] = (
        False
    )


class FederationTrust(Struct, frozen=True):
    """A decoded object. ``raw_status`` is whatever the last writer left, for comparison."""

    name: str
    uid: str
    generation: int
    spec: FederationTrustSpec
    raw_status: dict[str, Any]

    @property
    def party(self) -> Party:
        """The relying party's implementation."""
        return party_of(self.spec.relying_party)[0]

    @property
    def audience(self) -> str:
        """The audience in force: the declared one, or the party's default."""
        if self.spec.audience is not None:
            return self.spec.audience
        return self.party.default_audience(self._view("")) or ""

    @property
    def view(self) -> TrustView:
        """What the party sees."""
        return self._view(self.audience)

    def _view(self, audience: str) -> TrustView:
        return TrustView(
            name=self.name,
            audience=audience,
            settings=party_of(self.spec.relying_party)[1],
            assertion_seconds=self.spec.ceilings.assertion_seconds,
            session_seconds=self.spec.ceilings.session_seconds,
        )
