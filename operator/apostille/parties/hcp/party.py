"""HCP as a relying party."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.parties import limits
from apostille.parties.hcp import commands, documents, resources, rules
from apostille.parties.hcp import evaluate as evaluation
from apostille.parties.hcp.settings import API, HCPTarget, HCPTrust
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

CREDENTIAL_FILE = "cred_file.json"
_RENDERED = {"native": documents.render, "cli": commands.render, "terraform": resources.render}
_UID = "00000000-0000-0000-0000-000000000000"  # as long as every other


class HCP:
    """Assertions are exchanged at a service principal's workload identity provider for a token of it."""

    name = "HCP"
    vendor = "HCP"
    configures = "workload identity providers"
    member = "hcp"
    file_names = r"provider-.+\.json"
    target_field = "servicePrincipal"
    audiences: Sequence[str] = ("iam/project/", "https://api.cloud.hashicorp.com/")
    Trust = HCPTrust
    Target = HCPTarget
    deliveries: Sequence[Delivery] = ("SDK", "Sidecar")
    rules = rules.RULES

    def default_audience(self, trust: TrustView) -> str | None:
        """The project at HCP: the vendor's own default is one for each service principal, a trust has one."""
        return f"{API}/iam/project/{trust.settings.project_id}"

    def pins_instances(self, settings: HCPTrust) -> bool:
        """By the statement, where the trust asks for it."""
        return settings.pin_instances

    def static_credentials(self, settings: HCPTrust) -> Sequence[str]:
        """Client credentials come before a credential file (hcp-sdk-go, config/hcp.go)."""
        return ("HCP_CLIENT_ID", "HCP_CLIENT_SECRET")

    def addresses(self, settings: HCPTrust) -> Mapping[str, str]:
        """None: there is one address."""
        return {}

    def target_id(self, target: HCPTarget) -> str:
        """The service principal's name."""
        return target.service_principal

    def target_label(self, target: HCPTarget) -> str:
        """``sp/NAME``."""
        return f"sp/{target.service_principal}"

    def check_target_id(self, trust: TrustView, target: str, path: str) -> Iterator[Finding]:
        """HCP-TARGET-FORM."""
        yield from rules.target(target, path)

    def check_subject(self, subject: str, path: str) -> Iterable[Finding]:
        """None: a long subject shows in the limit."""
        return ()

    def findings(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer | None) -> Iterator[Finding]:
        """Audience, ceiling, issuer, and the documents that would be rendered."""
        yield from rules.declared(trust)
        if issuer is not None:
            yield from rules.issuer(issuer, "spec.issuer")
            yield from rules.documents(self.access(trust, bindings, issuer))

    def limits(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> Sequence[Limit]:
        """HCP-STATEMENT-SIZE."""
        uid = _UID if trust.settings.pin_instances else ""
        return limits.counted(
            rules.STATEMENT_LONG,
            "characters of its statement",
            documents.MAX_STATEMENT,
            bindings,
            lambda one: self.target_label(one.target),
            size=lambda subject: len(documents.clause(subject, uid)),
            fixed=lambda _, subjects: (subjects - 1) * len(documents.OR),
        )

    def access(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> documents.HCPAccess:
        """A provider for each bound service principal, with the union of the subjects that are bound to it."""
        subjects: dict[str, dict[str, str]] = {}
        for binding in bindings:
            mine = subjects.setdefault(self.target_id(binding.target), {})
            for account, subject in zip(binding.service_accounts, binding.subjects, strict=True):
                mine[subject] = binding.uids.get(account, "")
        settings: HCPTrust = trust.settings
        return documents.HCPAccess(
            {
                name: documents.provider(
                    settings.principal(name), settings.provider, issuer.url, trust.audience, subjects[name]
                )
                for name in sorted(subjects)
            }
        )

    def parse(self, files: Mapping[str, str]) -> documents.HCPAccess:
        """Reads the native documents back."""
        return documents.parse(files)

    def document_findings(self, access: documents.HCPAccess) -> Iterator[Finding]:
        """Rules on documents, whoever wrote them."""
        return rules.documents(access)

    def acceptances(self, access: documents.HCPAccess) -> Iterator[Acceptance]:
        """What the documents accept."""
        return evaluation.acceptances(access)

    def evaluate(self, access: documents.HCPAccess, claims: Claims, target: str) -> Verdict:
        """As the exchange would judge."""
        return evaluation.evaluate(access, claims, target)

    def render(self, access: documents.HCPAccess, form: Format) -> Mapping[str, str]:
        """Bodies of create requests; ``hcp iam``; hashicorp/hcp."""
        return _RENDERED[form](access)

    def sdk(self, trust: TrustView, binding: BindingView, paths: Paths) -> Delivered:
        """The SDK's credential file for workloads (hcp-sdk-go, auth/cred_file.go)."""
        resource = trust.settings.resource(binding.target.service_principal)
        document = {
            "project_id": trust.settings.project_id,
            "scheme": "workload",
            "workload": {"provider_resource_name": resource, "file": {"path": paths.token}},
        }
        return Delivered(
            {"HCP_CRED_FILE": f"{paths.files}/{CREDENTIAL_FILE}", "HCP_PROJECT_ID": trust.settings.project_id},
            fixed={CREDENTIAL_FILE: json.dumps(document)},
        )

    def exchange(self, trust: TrustView, binding: BindingView, paths: Paths) -> tuple[Exchange, Delivered]:
        """An exchange by the sidecar, which keeps the access token in a file."""
        path = f"{paths.credentials}/token"
        resource = trust.settings.resource(binding.target.service_principal)
        return (
            Exchange(
                grant="HCPWorkload",
                # Who is taken on is part of the URL, so it is frozen with it.
                endpoint=f"{API}/2019-12-10/{resource}/exchange-token",
                outputs=(Output(path, "token"),),
                parameters={},
            ),
            # No SDK reads the first one; it is for programs and entrypoints that send the token themselves.
            Delivered({"HCP_TOKEN_FILE": path, "HCP_PROJECT_ID": trust.settings.project_id}),
        )
