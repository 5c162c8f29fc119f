"""Keycloak as a relying party."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.parties import limits
from apostille.parties.keycloak import commands, documents, resources, rules
from apostille.parties.keycloak import evaluate as evaluation
from apostille.parties.keycloak.settings import KeycloakTarget, KeycloakTrust
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

CA_FILE = "ca.pem"
_RENDERED = {"native": documents.render, "cli": commands.render, "terraform": resources.render}


class Keycloak:
    """A token authenticates the client that names its subject; the access token is the client's, or a linked user's."""

    name = "Keycloak"
    vendor = "Keycloak"
    configures = "identity provider, clients, users"
    member = "keycloak"
    file_names = r"realm\.json|(identity-provider|client|user)-.+\.json"
    target_field = "client"
    audiences: Sequence[str] = ()
    Trust = KeycloakTrust
    Target = KeycloakTarget
    # No client library authenticates by a token file by itself.
    deliveries: Sequence[Delivery] = ("Sidecar",)
    rules = rules.RULES

    def default_audience(self, trust: TrustView) -> str | None:
        """The realm's issuer: it accepts no other."""
        return str(trust.settings.issuer)

    def pins_instances(self, settings: KeycloakTrust) -> bool:
        """Never: a client knows a subject and nothing more of it."""
        return False

    def static_credentials(self, settings: KeycloakTrust) -> Sequence[str]:
        """None is known: clients are configured each in their own way."""
        return ()

    def addresses(self, settings: KeycloakTrust) -> Mapping[str, str]:
        """The server's."""
        return {"address": settings.address}

    def target_id(self, target: KeycloakTarget) -> str:
        """The client's id."""
        return target.client

    def target_label(self, target: KeycloakTarget) -> str:
        """``client/ID``."""
        return f"client/{target.client}"

    def check_target_id(self, trust: TrustView, target: str, path: str) -> Iterator[Finding]:
        """KC-TARGET-FORM."""
        yield from rules.target(target, path)

    def check_subject(self, subject: str, path: str) -> Iterable[Finding]:
        """None: Keycloak takes every subject that Kubernetes has."""
        return ()

    def findings(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer | None) -> Iterator[Finding]:
        """Audience, lifetime, CA, and the documents that would be rendered."""
        yield from rules.trust(trust)
        yield from addresses.ca_bundle(trust.settings.ca_bundle, "spec.relyingParty.keycloak.caBundle")
        yield from rules.one_client(bindings, "spec.allow")
        if issuer is not None:
            yield from rules.documents(self.access(trust, bindings, issuer))

    def limits(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> Sequence[Limit]:
        """One subject a client."""
        return limits.counted(rules.ONE_SUBJECT, "subjects", 1, bindings, lambda one: self.target_id(one.target))

    def access(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> documents.KeycloakAccess:
        """The cluster as identity provider, and a client for each subject; the oldest binding's where two want it."""
        settings: KeycloakTrust = trust.settings
        alias, grants = settings.identity_provider, settings.grant == "JWTBearer"
        subjects: dict[str, str] = {}
        for binding in sorted(bindings, key=lambda one: (one.created, one.namespace, one.name)):
            for subject in binding.subjects:
                subjects.setdefault(binding.target.client, subject)
        providers = {alias: documents.provider(alias, issuer.url)}
        if grants:
            made = documents.grants_provider(alias, issuer.url, trust.assertion_seconds)
            providers[made["alias"]] = made
        return documents.KeycloakAccess(
            documents.realm(settings.realm, settings.issuer),
            providers,
            {
                name: documents.client(name, subjects[name], alias, trust.session_seconds, grants=grants)
                for name in sorted(subjects)
            },
            {name: documents.user(name, subjects[name], alias) for name in sorted(subjects)} if grants else {},
        )

    def parse(self, files: Mapping[str, str]) -> documents.KeycloakAccess:
        """Reads the native documents back."""
        return documents.parse(files)

    def document_findings(self, access: documents.KeycloakAccess) -> Iterator[Finding]:
        """Rules on documents, whoever wrote them."""
        return rules.documents(access)

    def acceptances(self, access: documents.KeycloakAccess) -> Iterator[Acceptance]:
        """What the documents accept."""
        return evaluation.acceptances(access)

    def evaluate(self, access: documents.KeycloakAccess, claims: Claims, target: str) -> Verdict:
        """As the token endpoint would judge."""
        return evaluation.evaluate(access, claims, target)

    def render(self, access: documents.KeycloakAccess, form: Format) -> Mapping[str, str]:
        """Bodies of the Admin REST API; ``kcadm.sh``; keycloak/keycloak."""
        return _RENDERED[form](access)

    def sdk(self, trust: TrustView, binding: BindingView, paths: Paths) -> None:
        """None: see ``deliveries``."""

    def exchange(self, trust: TrustView, binding: BindingView, paths: Paths) -> tuple[Exchange, Delivered]:
        """A token request by the sidecar, which keeps an access token in a file and revokes it in the end."""
        settings: KeycloakTrust = trust.settings
        path = f"{paths.credentials}/token"
        endpoints = f"{settings.issuer}/protocol/openid-connect"
        environment = {"KEYCLOAK_ISSUER": settings.issuer, "KEYCLOAK_TOKEN_FILE": path}
        files = {}
        if settings.ca_bundle:
            files[CA_FILE] = settings.ca_bundle
            environment["KEYCLOAK_CA_FILE"] = f"{paths.files}/{CA_FILE}"
        return (
            Exchange(
                grant="JWTBearer" if settings.grant == "JWTBearer" else "ClientAssertion",
                endpoint=f"{endpoints}/token",
                outputs=(Output(path, "token"),),
                # Not the client's id: Keycloak finds the client by the subject, and some versions take an id for one.
                parameters={},
                ca=settings.ca_bundle,
                endpoints={"revocation": f"{endpoints}/revoke"},
                settings={"clientAssertion": "true"},
            ),
            Delivered(environment, files),
        )
