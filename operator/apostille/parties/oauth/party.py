"""OAuth token services as a relying party."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.parties import limits, terraform
from apostille.parties.oauth import commands, documents, rules
from apostille.parties.oauth import evaluate as evaluation
from apostille.parties.oauth.documents import Bound
from apostille.parties.oauth.settings import OAuthTarget, OAuthTrust, value
from apostille.parties.party import (
    Acceptance,
    BindingView,
    Claims,
    Delivered,
    Delivery,
    Exchange,
    Format,
    Limit,
    Paths,
    TrustView,
    Verdict,
)
from apostille.rules import addresses
from apostille_exchange.recipe import Output

_WHERE = "spec.relyingParty.oauth"
_SDK_PATH = "/v1/oauth/token"


class OAuth:
    """The assertion is exchanged at a token endpoint; what the token is good for is declared, never chosen."""

    name = "OAuth"
    vendor = "an OAuth token service"
    configures = (
        "what the service must be told, in its own form where it has one: RFC 8693, RFC 7523, token only, Hydra, "
        "Anthropic, OpenAI, Kernel"
    )
    member = "oauth"
    file_names = r"(service|provider)\.json|(rule|client|trust)-.+\.json"
    target_field = "name"
    audiences: Sequence[str] = ()
    Trust = OAuthTrust
    Target = OAuthTarget
    deliveries: Sequence[Delivery] = ("SDK", "Sidecar")
    rules = rules.RULES

    def default_audience(self, trust: TrustView) -> str | None:
        """The vendor's, else the token endpoint (RFC 7523 §3); none where nothing is exchanged."""
        settings: OAuthTrust = trust.settings
        return settings.kind.audience or settings.endpoint or None

    def pins_instances(self, settings: OAuthTrust) -> bool:
        """By a condition of the service's rule, where the profile has one and the trust asks for it."""
        return settings.pin_instances and settings.kind.pins

    def static_credentials(self, settings: OAuthTrust) -> Sequence[str]:
        """Those of the profile's own SDK."""
        return settings.kind.static_credentials

    def addresses(self, settings: OAuthTrust) -> Mapping[str, str]:
        """The token endpoint's server, where the trust names one."""
        if not settings.token_endpoint:
            return {}
        scheme, _, rest = settings.token_endpoint.partition("://")
        return {"tokenEndpoint": f"{scheme}://{rest.partition('/')[0]}"}

    def target_id(self, target: OAuthTarget) -> str:
        """The target's name."""
        return target.name

    def target_label(self, target: OAuthTarget) -> str:
        """The target's name."""
        return target.name

    def check_target_id(self, trust: TrustView, target: str, path: str) -> Iterator[Finding]:
        """OAU-TARGET-FORM."""
        yield from rules.target(trust.settings, target, path)

    def check_subject(self, subject: str, path: str) -> Iterable[Finding]:
        """None: subjects are texts."""
        return ()

    def findings(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer | None) -> Iterator[Finding]:
        """Audience, the profile's fields, CA, and the documents that would be rendered."""
        yield from rules.trust(trust, _WHERE)
        yield from addresses.ca_bundle(trust.settings.ca_bundle, f"{_WHERE}.caBundle")
        yield from rules.shared_assertions(trust.settings, bindings, "spec.allow")
        if issuer is not None:
            yield from rules.documents(self.access(trust, bindings, issuer))

    def limits(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> Sequence[Limit]:
        """One subject a rule, with Kernel."""
        if trust.settings.profile != "Kernel":
            return ()
        return limits.counted(rules.ONE_SUBJECT, "subjects", 1, bindings, lambda one: self.target_id(one.target))

    def access(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> documents.OAuthAccess:
        """What the service must be told: per target the subjects that are bound to it."""
        settings: OAuthTrust = trust.settings
        accounts: dict[str, dict[tuple[str, str], None]] = {}
        uids: dict[str, set[str]] = {}
        for binding in sorted(bindings, key=lambda one: (one.created, one.namespace, one.name)):
            mine = accounts.setdefault(binding.target.name, {})
            for name in binding.service_accounts:
                mine.setdefault((binding.namespace, name))
            uids.setdefault(binding.target.name, set()).update(binding.uids.values())
        single = settings.profile == "Kernel"
        bound = [
            Bound(
                identity,
                tuple(accounts[identity.name]) if single else tuple(sorted(accounts[identity.name])),
                tuple(sorted(uids[identity.name])),
            )
            for identity in settings.targets
            if identity.name in accounts
        ]
        return documents.made(trust, issuer, bound)

    def parse(self, files: Mapping[str, str]) -> documents.OAuthAccess:
        """Reads the native documents back."""
        return documents.parse(files)

    def document_findings(self, access: documents.OAuthAccess) -> Iterator[Finding]:
        """Rules on documents, whoever wrote them."""
        return rules.documents(access)

    def uploaded_keys(self, access: documents.OAuthAccess) -> Iterator[tuple[str, str, str]]:
        """The keys that a service was given."""
        return documents.uploaded(access)

    def acceptances(self, access: documents.OAuthAccess) -> Iterator[Acceptance]:
        """What the documents accept."""
        return evaluation.acceptances(access)

    def evaluate(self, access: documents.OAuthAccess, claims: Claims, target: str) -> Verdict:
        """As the service would judge."""
        return evaluation.evaluate(access, claims, target)

    def render(self, access: documents.OAuthAccess, form: Format) -> Mapping[str, str]:
        """Bodies of the service's API; ``curl`` for Hydra; no Terraform provider that has these resources is known."""
        if form == "cli":
            return commands.render(access)
        return terraform.document({}, {}) if form == "terraform" else documents.render(access)

    def sdk(self, trust: TrustView, binding: BindingView, paths: Paths) -> Delivered | None:
        """The token itself where nothing is exchanged; Anthropic's SDKs exchange it themselves (cloud-trust §13.3)."""
        settings: OAuthTrust = trust.settings
        if settings.profile == "TokenOnly":
            return Delivered({"OAUTH_ASSERTION_FILE": paths.token, "OAUTH_AUDIENCE": trust.audience})
        identity = settings.identity(binding.target.name)
        # An SDK would present an assertion twice that is taken once, and knows no authority but the system's.
        if settings.profile != "Anthropic" or settings.once or settings.ca_bundle or identity is None:
            return None
        environment = {
            "ANTHROPIC_FEDERATION_RULE_ID": identity.rule_id,
            "ANTHROPIC_ORGANIZATION_ID": settings.organization_id,
            "ANTHROPIC_SERVICE_ACCOUNT_ID": identity.service_account_id,
            "ANTHROPIC_WORKSPACE_ID": identity.workspace_id,
            "ANTHROPIC_IDENTITY_TOKEN_FILE": paths.token,
        }
        if settings.token_endpoint:
            environment["ANTHROPIC_BASE_URL"] = settings.token_endpoint.removesuffix(_SDK_PATH)
        return Delivered({name: text for name, text in environment.items() if text})

    def exchange(self, trust: TrustView, binding: BindingView, paths: Paths) -> tuple[Exchange, Delivered] | None:
        """A token request by the sidecar, which keeps an access token in a file."""
        settings: OAuthTrust = trust.settings
        kind, identity = settings.kind, settings.identity(binding.target.name)
        if not kind.grant or identity is None:
            return None
        path = f"{paths.credentials}/token"
        parameters = {name: value(identity, of) for name, of in kind.parameters.items()}
        frozen = {name: value(settings, of) for name, of in kind.settings.items()}
        return (
            Exchange(
                grant=kind.grant,
                endpoint=settings.endpoint,
                outputs=(Output(path, "token"),),
                parameters={name: text for name, text in parameters.items() if text},
                ca=settings.ca_bundle,
                settings=frozen | ({"singleUse": "true"} if settings.once else {}),
            ),
            Delivered({"OAUTH_TOKEN_FILE": path}),
        )
