"""Google Cloud as a relying party."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.parties import limits
from apostille.parties.gcp import bare, cel, commands, documents, resources, rules
from apostille.parties.gcp import evaluate as evaluation
from apostille.parties.gcp.settings import DIRECT, GCPTarget, GCPTrust
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
CREDENTIALS_FILE = "credentials.json"
STS = "https://sts.googleapis.com/v1/token"
SOURCE_ENDPOINT = "GoogleExternalAccount"  # spec.delivery.endpoint.type
IAM_CREDENTIALS = "https://iamcredentials.googleapis.com/"
FEDERATED_SECONDS = 3600  # of a federated token; nobody can ask for less (cloud-trust §2)
MAX_IMPERSONATED = 3600  # seconds, without an organisation policy that allows more (cloud-trust §4.4)


class GCP:
    """Assertions are exchanged at the Security Token Service; IAM decides by the principal, or by whom it may be."""

    name = "GCP"
    vendor = "Google Cloud"
    configures = "workload identity pool, provider, principals"
    member = "gcp"
    file_names = r"(pool|provider|direct-access)\.json|service-account-.+\.json"
    target_field = "serviceAccount"
    audiences: Sequence[str] = ("//iam.googleapis.com/", "https://iam.googleapis.com/", "sts.googleapis.com")
    Trust = GCPTrust
    Target = GCPTarget
    deliveries: Sequence[Delivery] = ("SDK", "Sidecar")
    rules = rules.RULES

    def default_audience(self, trust: TrustView) -> str | None:
        """The provider's own name: no other receiver has it."""
        return f"https://iam.googleapis.com/{trust.settings.provider_name}"

    def pins_instances(self, settings: GCPTrust) -> bool:
        """By the condition, where the trust asks for it."""
        return settings.pin_instances

    def static_credentials(self, settings: GCPTrust) -> Sequence[str]:
        """Application default credentials read the variable that is ours first; gcloud prefers these over a file."""
        return ("CLOUDSDK_AUTH_ACCESS_TOKEN", "GOOGLE_OAUTH_ACCESS_TOKEN", "GOOGLE_CREDENTIALS")

    def addresses(self, settings: GCPTrust) -> Mapping[str, str]:
        """None: they are Google's."""
        return {}

    def target_id(self, target: GCPTarget) -> str:
        """The service account's email, or ``direct``."""
        return target.service_account

    def target_label(self, target: GCPTarget) -> str:
        """The same."""
        return target.service_account

    def check_target_id(self, trust: TrustView, target: str, path: str) -> Iterator[Finding]:
        """GCP-TARGET-FORM."""
        yield from rules.target(target, path)

    def check_subject(self, subject: str, path: str) -> Iterator[Finding]:
        """GCP-SUBJECT-LONG."""
        yield from rules.subject(subject, path)

    def findings(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer | None) -> Iterator[Finding]:
        """Audience, ids, issuer, subjects under this provider."""
        yield from rules.audience(trust, "spec.audience")
        yield from rules.settings(trust.settings, "spec.relyingParty.gcp")
        yield from rules.subjects(trust, bindings, "spec.allow")
        if issuer is not None:
            yield from rules.issuer(issuer, trust.settings, "spec.issuer")
            yield from rules.judged(self.access(trust, bindings, issuer))

    def limits(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> list[Limit]:
        """Characters of the condition, and members of each service account's policy."""
        made = [
            limits.counted(
                rules.CONDITION_SIZE, "characters of attribute condition", cel.MAX_EXPRESSION, bindings,
                of=lambda _: f"provider {trust.settings.provider}", size=lambda subject: len(cel.text(subject)),
                fixed=lambda _, count: len("assertion.sub in []") + 2 * (count - 1) + self._instances(trust, count),
            ),
            limits.counted(
                rules.MEMBERS, "members of IAM policy", rules.MAX_MEMBERS,
                [one for one in bindings if one.target.service_account != DIRECT],
                of=lambda binding: self.target_id(binding.target),
            ),
        ]  # fmt: skip
        return [limit for one in made for limit in one]

    def _instances(self, trust: TrustView, count: int) -> int:
        """Characters that pinning so many UIDs takes; a UID has 36."""
        if not trust.settings.pin_instances:
            return 0
        return len(documents.condition(["x"], ["u" * 36] * count)) - len(documents.condition(["x"]))

    def access(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> documents.GCPAccess:
        """One pool and provider for the trust, and per service account the principals that are bound to it."""
        settings: GCPTrust = trust.settings
        members: dict[str, set[str]] = {}
        for binding in bindings:
            members.setdefault(self.target_id(binding.target), set()).update(
                documents.principal(
                    settings.pool_name, documents.google_subject(settings.provider, binding.namespace, name)
                )
                for name in binding.service_accounts
            )
        direct = tuple(sorted(members.pop(DIRECT, ())))
        return documents.GCPAccess(
            documents.pool(settings.pool_name),
            documents.provider(
                settings.provider_name,
                issuer.url,
                trust.audience,
                {subject for binding in bindings for subject in binding.subjects},
                {uid for binding in bindings for uid in binding.uids.values()},
                issuer.jwks if settings.keys == "Uploaded" else "",
            ),
            {email: documents.policy(members[email]) for email in sorted(members)},
            direct,
        )

    def parse(self, files: Mapping[str, str]) -> documents.GCPAccess:
        """Reads the native documents back."""
        return documents.parse(files)

    def document_findings(self, access: documents.GCPAccess) -> Iterator[Finding]:
        """Rules on documents, whoever wrote them."""
        return rules.judged(access)

    def alone_findings(self, document: Any) -> Iterator[Finding]:
        """Rules on credential files and IAM policies."""
        return bare.findings(document)

    def uploaded_keys(self, access: documents.GCPAccess) -> Iterator[tuple[str, str, str]]:
        """The keys that a service was given."""
        return documents.uploaded(access)

    def acceptances(self, access: documents.GCPAccess) -> Iterator[Acceptance]:
        """What the documents accept."""
        return evaluation.acceptances(access)

    def evaluate(self, access: documents.GCPAccess, claims: Claims, target: str) -> Verdict:
        """As the Security Token Service and IAM would judge, one after the other."""
        return evaluation.evaluate(access, claims, target)

    def render(self, access: documents.GCPAccess, form: Format) -> Mapping[str, str]:
        """Bodies of the IAM API; ``gcloud iam``; hashicorp/google."""
        return _RENDERED[form](access)

    def sdk(self, trust: TrustView, binding: BindingView, paths: Paths) -> Delivered:
        """A credential file of type ``external_account`` (cloud-trust §4.5), which is no secret."""
        path = f"{paths.files}/{CREDENTIALS_FILE}"
        return Delivered(
            {
                "GOOGLE_APPLICATION_CREDENTIALS": path,
                "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE": path,
                **_project(trust),
            },
            # It says where the assertion is sent, so it does not follow in a running pod.
            fixed={CREDENTIALS_FILE: credentials_file(trust, binding, paths)},
        )

    def exchange(self, trust: TrustView, binding: BindingView, paths: Paths) -> tuple[Exchange, Delivered]:
        """An access token in a file, for gcloud and for programs that take one; or the assertion at an endpoint."""
        if binding.endpoint == SOURCE_ENDPOINT:
            return _source(trust, binding), Delivered(_project(trust))
        path = f"{paths.credentials}/token"
        impersonated = binding.target.service_account != DIRECT
        return (
            Exchange(
                grant="GoogleSTS",
                endpoint=STS,
                outputs=(Output(path, "token"),),
                parameters={"serviceAccount": binding.target.service_account} if impersonated else {},
                endpoints={"impersonation": IAM_CREDENTIALS} if impersonated else {},
                settings={"provider": f"//iam.googleapis.com/{trust.settings.provider_name}"},
                party_seconds=0 if impersonated else FEDERATED_SECONDS,
            ),
            Delivered({"CLOUDSDK_AUTH_ACCESS_TOKEN_FILE": path, **_project(trust)}),
        )


def _source(trust: TrustView, binding: BindingView) -> Exchange:
    """The SDK exchanges, and asks the sidecar for the assertion, whose file the containers then need not see."""
    return Exchange(
        grant="Assertion",
        endpoint=STS,
        outputs=(),
        parameters={},
        party_seconds=trust.assertion_seconds,
        credential_file=credentials_file(trust, binding, None),
    )


def credentials_file(trust: TrustView, binding: BindingView, paths: Paths | None) -> str:
    """What Google's SDKs read: where the assertion lies, where it is exchanged, and for whom.

    Without ``paths`` it says nothing of the first.
    """
    document: dict[str, object] = {
        "type": "external_account",
        "audience": f"//iam.googleapis.com/{trust.settings.provider_name}",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": STS,
    }
    if paths is not None:
        document["credential_source"] = {"file": paths.token, "format": {"type": "text"}}
    email = binding.target.service_account
    if email != DIRECT:
        document["service_account_impersonation_url"] = (
            f"{IAM_CREDENTIALS}v1/projects/-/serviceAccounts/{email}:generateAccessToken"
        )
        document["service_account_impersonation"] = {
            "token_lifetime_seconds": min(trust.session_seconds, MAX_IMPERSONATED)
        }
    return json.dumps(document, separators=(",", ":"))


def _project(trust: TrustView) -> dict[str, str]:
    # Without it the SDK asks Google for the project, with a right that few have (cloud-trust §4.5).
    return {"GOOGLE_CLOUD_PROJECT": trust.settings.project_id} if trust.settings.project_id else {}
