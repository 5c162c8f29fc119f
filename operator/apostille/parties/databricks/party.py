"""Databricks as a relying party."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.parties import limits
from apostille.parties.databricks import commands, documents, resources, rules
from apostille.parties.databricks import evaluate as evaluation
from apostille.parties.databricks.settings import DatabricksTarget, DatabricksTrust
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


class Databricks:
    """Assertions are exchanged at the workspace for a token of a service principal; its policies decide who."""

    name = "Databricks"
    vendor = "Databricks"
    configures = "federation policies of service principals"
    member = "databricks"
    file_names = r"policy-.+\.json"
    target_field = "applicationID"
    audiences: Sequence[str] = (".cloud.databricks.com", ".gcp.databricks.com", ".azuredatabricks.net")
    Trust = DatabricksTrust
    Target = DatabricksTarget
    deliveries: Sequence[Delivery] = ("SDK", "Sidecar")
    rules = rules.RULES

    def default_audience(self, trust: TrustView) -> str | None:
        """The workspace's URL: the vendor's own default, the account's id, is accepted by every other policy."""
        return str(trust.settings.host)

    def pins_instances(self, settings: DatabricksTrust) -> bool:
        """Never: a policy sees one claim."""
        return False

    def static_credentials(self, settings: DatabricksTrust) -> Sequence[str]:
        """DATABRICKS_AUTH_TYPE keeps the SDKs to the token file whatever else is there; only these lead them away."""
        return ("DATABRICKS_CONFIG_PROFILE",)

    def addresses(self, settings: DatabricksTrust) -> Mapping[str, str]:
        """None that somebody chose freely: DBX-HOST keeps them to the vendor's."""
        return {}

    def target_id(self, target: DatabricksTarget) -> str:
        """The application id."""
        return target.application_id

    def target_label(self, target: DatabricksTarget) -> str:
        """``sp/APPLICATION``."""
        return f"sp/{target.application_id}"

    def check_target_id(self, trust: TrustView, target: str, path: str) -> Iterator[Finding]:
        """DBX-TARGET-FORM, DBX-PRINCIPAL-UNKNOWN."""
        yield from rules.target(trust, target, path)

    def check_subject(self, subject: str, path: str) -> Iterable[Finding]:
        """None: no bound is documented."""
        return ()

    def findings(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer | None) -> Iterator[Finding]:
        """Host, audience, described service principals, issuer, and the documents that would be rendered."""
        yield from rules.declared(trust)
        if issuer is not None:
            yield from rules.issuer(issuer, "spec.issuer")
            yield from rules.documents(self.access(trust, bindings, issuer))

    def limits(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> Sequence[Limit]:
        """DBX-POLICIES."""
        return limits.counted(
            rules.POLICIES,
            "federation policies",
            rules.MAX_POLICIES,
            bindings,
            lambda one: self.target_label(one.target),
        )

    def access(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> documents.DatabricksAccess:
        """One policy for each subject of each service principal that the trust describes."""
        settings: DatabricksTrust = trust.settings
        made = {}
        for binding in bindings:
            application = self.target_id(binding.target)
            if number := settings.number(application):
                for subject in binding.subjects:
                    policy_id, document = documents.policy(
                        settings.account_id, number, issuer.url, trust.audience, subject
                    )
                    made[application, policy_id] = document
        return documents.DatabricksAccess(made, settings.account_id)

    def parse(self, files: Mapping[str, str]) -> documents.DatabricksAccess:
        """Reads the native documents back."""
        return documents.parse(files)

    def document_findings(self, access: documents.DatabricksAccess) -> Iterator[Finding]:
        """Rules on documents, whoever wrote them."""
        return rules.documents(access)

    def acceptances(self, access: documents.DatabricksAccess) -> Iterator[Acceptance]:
        """What the documents accept."""
        return evaluation.acceptances(access)

    def evaluate(self, access: documents.DatabricksAccess, claims: Claims, target: str) -> Verdict:
        """As the token endpoint would judge."""
        return evaluation.evaluate(access, claims, target)

    def render(self, access: documents.DatabricksAccess, form: Format) -> Mapping[str, str]:
        """FederationPolicy objects; ``databricks account``; databricks/databricks."""
        return _RENDERED[form](access)

    def sdk(self, trust: TrustView, binding: BindingView, paths: Paths) -> Delivered:
        """The SDKs' contract for a token file (databricks-sdk, ``file-oidc``)."""
        return Delivered(
            {
                "DATABRICKS_HOST": trust.settings.host,
                "DATABRICKS_CLIENT_ID": binding.target.application_id,
                "DATABRICKS_AUTH_TYPE": "file-oidc",
                "DATABRICKS_OIDC_TOKEN_FILEPATH": paths.token,
            }
        )

    def exchange(self, trust: TrustView, binding: BindingView, paths: Paths) -> tuple[Exchange, Delivered]:
        """An exchange by the sidecar, which keeps the access token in a file."""
        path = f"{paths.credentials}/token"
        return (
            Exchange(
                grant="DatabricksTokenExchange",
                endpoint=trust.settings.token_endpoint,
                outputs=(Output(path, "token"),),
                parameters={"clientID": binding.target.application_id},
            ),
            # No SDK reads the second one; it is for programs and entrypoints that send the token themselves.
            Delivered({"DATABRICKS_HOST": trust.settings.host, "DATABRICKS_TOKEN_FILE": path}),
        )
