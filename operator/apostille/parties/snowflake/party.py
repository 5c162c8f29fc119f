"""Snowflake as a relying party."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.parties.party import (
    Acceptance,
    BindingView,
    Claims,
    Delivered,
    Delivery,
    Format,
    Limit,
    Paths,
    TrustView,
    Verdict,
)
from apostille.parties.snowflake import commands, documents, resources, rules
from apostille.parties.snowflake import evaluate as evaluation
from apostille.parties.snowflake.settings import SnowflakeTarget, SnowflakeTrust

CONNECTIONS = "connections.toml"
_RENDERED = {"native": documents.render, "cli": commands.render, "terraform": resources.render}


class Snowflake:
    """The driver presents the assertion at the login; the workload identity of a service user decides."""

    name = "Snowflake"
    vendor = "Snowflake"
    configures = "service users, authentication policy, as SQL"
    member = "snowflake"
    file_names = r"authentication-policy\.sql|user-.+\.sql"
    target_field = "user"
    audiences: Sequence[str] = ("snowflakecomputing.com", ".snowflakecomputing.com", ".snowflakecomputing.cn")
    Trust = SnowflakeTrust
    Target = SnowflakeTarget
    # There is nothing that a sidecar could exchange it for: the assertion is the credential.
    deliveries: Sequence[Delivery] = ("SDK",)
    rules = rules.RULES

    def default_audience(self, trust: TrustView) -> str | None:
        """The account's URL: the vendor's own default is every account's."""
        return str(trust.settings.url)

    def pins_instances(self, settings: SnowflakeTrust) -> bool:
        """Never: an identity is issuer and subject."""
        return False

    def static_credentials(self, settings: SnowflakeTrust) -> Sequence[str]:
        """Of the CLI and of programs that read their connection from variables; each is another way to log in."""
        return ("SNOWFLAKE_PASSWORD", "SNOWFLAKE_TOKEN", "SNOWFLAKE_PRIVATE_KEY_PATH")

    def addresses(self, settings: SnowflakeTrust) -> Mapping[str, str]:
        """None: it follows from the account."""
        return {}

    def target_id(self, target: SnowflakeTarget) -> str:
        """The user's name."""
        return target.user

    def target_label(self, target: SnowflakeTarget) -> str:
        """``user/NAME``."""
        return f"user/{target.user}"

    def check_target_id(self, trust: TrustView, target: str, path: str) -> Iterator[Finding]:
        """SNOW-TARGET-FORM, SNOW-ADMIN."""
        yield from rules.target(target, path)

    def check_subject(self, subject: str, path: str) -> Iterator[Finding]:
        """SNOW-SUBJECT-LONG."""
        yield from rules.subject(subject, path)

    def findings(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer | None) -> Iterator[Finding]:
        """Account, audience, issuer, service accounts of two users, and the documents that would be rendered."""
        yield from rules.declared(trust)
        yield from rules.twice(bindings, "spec.allow")
        if issuer is not None:
            yield from rules.issuer(issuer, "spec.issuer")
            yield from rules.documents(self.access(trust, bindings, issuer))

    def limits(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> Sequence[Limit]:
        """None is documented."""
        return ()

    def access(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> documents.SnowflakeAccess:
        """The workload identities of each bound user, and the policy where the trust names one."""
        subjects: dict[str, dict[str, None]] = {}
        for binding in bindings:
            subjects.setdefault(self.target_id(binding.target), {}).update(dict.fromkeys(binding.subjects))
        name = trust.settings.authentication_policy
        return documents.SnowflakeAccess(
            {user: documents.identities(issuer.url, trust.audience, subjects[user]) for user in sorted(subjects)},
            documents.Policy(name, ("WORKLOAD_IDENTITY",), ("OIDC",), (issuer.url,)) if name else documents.Policy(),
        )

    def parse(self, files: Mapping[str, str]) -> documents.SnowflakeAccess:
        """Reads the native documents back."""
        return documents.parse(files)

    def document_findings(self, access: documents.SnowflakeAccess) -> Iterator[Finding]:
        """Rules on documents, whoever wrote them."""
        return rules.documents(access)

    def acceptances(self, access: documents.SnowflakeAccess) -> Iterator[Acceptance]:
        """What the documents accept."""
        return evaluation.acceptances(access)

    def evaluate(self, access: documents.SnowflakeAccess, claims: Claims, target: str) -> Verdict:
        """As the login would judge."""
        return evaluation.evaluate(access, claims, target)

    def render(self, access: documents.SnowflakeAccess, form: Format) -> Mapping[str, str]:
        """SQL; ``snow sql``; snowflakedb/snowflake."""
        return _RENDERED[form](access)

    def sdk(self, trust: TrustView, binding: BindingView, paths: Paths) -> Delivered:
        """The drivers' connections file, with a connection named default, and the same as variables."""
        connection = {
            "account": trust.settings.account,
            # No user: the driver does not send it with a workload identity, issuer and subject say who it is.
            "authenticator": "WORKLOAD_IDENTITY",
            "workload_identity_provider": "OIDC",
            "token_file_path": paths.token,
        }
        lines = [f'{name} = "{value}"' for name, value in connection.items()]
        return Delivered(
            {"SNOWFLAKE_HOME": paths.files}
            | {f"SNOWFLAKE_{name.upper()}": value for name, value in connection.items()},
            fixed={CONNECTIONS: "\n".join(("[default]", *lines)) + "\n"},
        )

    def exchange(self, trust: TrustView, binding: BindingView, paths: Paths) -> None:
        """None: see ``deliveries``."""
