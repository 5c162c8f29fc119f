"""Microsoft Entra as a relying party."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.parties import limits
from apostille.parties.azure import commands, documents, resources, rules
from apostille.parties.azure import evaluate as evaluation
from apostille.parties.azure.settings import AzureTarget, AzureTrust
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
from apostille_exchange.recipe import Output

_RENDERED = {"native": documents.render, "cli": commands.render, "terraform": resources.render}


class Azure:
    """Assertions are client assertions at the tenant's token endpoint; a federated credential matches exactly."""

    name = "Azure"
    vendor = "Microsoft Entra"
    configures = "federated credentials of managed identities and applications"
    member = "azure"
    file_names = r"identity-.+\.json"
    target_field = "clientID"
    audiences: Sequence[str] = ("api://",)
    Trust = AzureTrust
    Target = AzureTarget
    deliveries: Sequence[Delivery] = ("SDK", "Sidecar")
    rules = rules.RULES

    def default_audience(self, trust: TrustView) -> str | None:
        """What the vendor's own tools ask for in this cloud."""
        return str(trust.settings.common_audience)

    def pins_instances(self, settings: AzureTrust) -> bool:
        """Never: a credential holds issuer, subject and audience alone."""
        return False

    def static_credentials(self, settings: AzureTrust) -> Sequence[str]:
        """DefaultAzureCredential takes these before a workload identity (EnvironmentCredential comes first)."""
        return ("AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_USERNAME", "AZURE_PASSWORD")

    def addresses(self, settings: AzureTrust) -> Mapping[str, str]:
        """None: they follow from the cloud."""
        return {}

    def target_id(self, target: AzureTarget) -> str:
        """The client id."""
        return target.client_id

    def target_label(self, target: AzureTarget) -> str:
        """The same."""
        return target.client_id

    def check_target_id(self, trust: TrustView, target: str, path: str) -> Iterator[Finding]:
        """AZ-TARGET-FORM."""
        yield from rules.target(trust, target, path)

    def check_subject(self, subject: str, path: str) -> Iterable[Finding]:
        """None: Entra takes every subject that Kubernetes has."""
        return ()

    def findings(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer | None) -> Iterator[Finding]:
        """Audience, ids, the ceiling, the issuer."""
        yield from rules.audience(trust, "spec.audience")
        yield from rules.settings(trust.settings, "spec.relyingParty.azure")
        yield from rules.session(trust, "spec.ceilings.sessionSeconds")
        if issuer is not None:
            yield from rules.issuer(issuer, "spec.issuer")
            yield from rules.judged(self.access(trust, bindings, issuer))

    def limits(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> list[Limit]:
        """Credentials of each identity."""
        return limits.counted(
            rules.FIC_LIMIT, "federated credentials", rules.MAX_CREDENTIALS, bindings,
            of=lambda binding: self.target_id(binding.target),
        )  # fmt: skip

    def access(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> documents.AzureAccess:
        """Per identity a credential for each subject that is bound to it."""
        subjects: dict[str, set[str]] = {}
        for binding in bindings:
            subjects.setdefault(self.target_id(binding.target), set()).update(binding.subjects)
        resources_of = {one.client_id: one.resource for one in trust.settings.identities}
        return documents.AzureAccess(
            trust.settings.tenant_id,
            {
                client: documents.Identity(
                    resources_of.get(client, ""),
                    tuple(documents.credential(issuer.url, one, trust.audience) for one in sorted(subjects[client])),
                )
                for client in sorted(subjects)
            },
        )

    def parse(self, files: Mapping[str, str]) -> documents.AzureAccess:
        """Reads the native documents back."""
        return documents.parse(files)

    def document_findings(self, access: documents.AzureAccess) -> Iterator[Finding]:
        """Rules on documents, whoever wrote them."""
        return rules.judged(access)

    def acceptances(self, access: documents.AzureAccess) -> Iterator[Acceptance]:
        """What the documents accept."""
        return evaluation.acceptances(access)

    def evaluate(self, access: documents.AzureAccess, claims: Claims, target: str) -> Verdict:
        """As Entra would judge."""
        return evaluation.evaluate(access, claims, target)

    def render(self, access: documents.AzureAccess, form: Format) -> Mapping[str, str]:
        """Lists of federated credentials; ``az``; hashicorp/azurerm and hashicorp/azuread."""
        return _RENDERED[form](access)

    def sdk(self, trust: TrustView, binding: BindingView, paths: Paths) -> Delivered:
        """The SDKs' contract for workload identities (cloud-trust §5.6)."""
        return Delivered(
            {
                "AZURE_CLIENT_ID": binding.target.client_id,
                "AZURE_TENANT_ID": trust.settings.tenant_id,
                "AZURE_FEDERATED_TOKEN_FILE": paths.token,
                "AZURE_AUTHORITY_HOST": trust.settings.authority,
            }
        )

    def exchange(self, trust: TrustView, binding: BindingView, paths: Paths) -> tuple[Exchange, Delivered]:
        """An access token of one API in a file."""
        settings: AzureTrust = trust.settings
        identity = settings.identity(binding.target.client_id)
        managed = identity is None or not identity.is_application
        path = f"{paths.credentials}/token"
        return (
            Exchange(
                grant="EntraClientAssertion",
                endpoint=f"{settings.authority}{settings.tenant_id}/oauth2/v2.0/token",
                outputs=(Output(path, "token"),),
                parameters={
                    "clientID": binding.target.client_id,
                    "scope": binding.target.scope or settings.management_scope,
                },
                party_seconds=rules.MANAGED_SECONDS if managed else rules.APPLICATION_SECONDS,
            ),
            # No client reads this one; it is how programs that take a token from a file are told where it is.
            Delivered({"AZURE_ACCESS_TOKEN_FILE": path, "AZURE_TENANT_ID": settings.tenant_id}),
        )
