"""MinIO as a relying party."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.parties import aws_config
from apostille.parties.minio import commands, documents, resources, rules
from apostille.parties.minio import evaluate as evaluation
from apostille.parties.minio.settings import MinIOTarget, MinIOTrust, role_arn
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
from apostille.rules import addresses

CA_FILE = "ca.pem"
_RENDERED = {"native": documents.render, "cli": commands.render, "terraform": resources.render}
MAX_SESSION_NAME = 64
_SIGNING_REGION = "us-east-1"  # what a server takes that was given no region


class MinIO:
    """Assertions are exchanged at the server's own STS; policies named after subjects decide who and what."""

    name = "MinIO"
    vendor = "MinIO"
    configures = "OpenID provider, policies"
    member = "minio"
    file_names = r"openid\.env|policies\.json"
    target_field = "policy"
    audiences: Sequence[str] = ()
    Trust = MinIOTrust
    Target = MinIOTarget
    deliveries: Sequence[Delivery] = ("SDK",)
    rules = rules.RULES

    def default_audience(self, trust: TrustView) -> str | None:
        """The server's own URL: no other receiver has it."""
        return str(trust.settings.endpoint.rstrip("/"))

    def pins_instances(self, settings: MinIOTrust) -> bool:
        """Never: of a token the server compares audience and subject alone."""
        return False

    def static_credentials(self, settings: MinIOTrust) -> Sequence[str]:
        """The same chain as AWS': the SDKs are AWS' own."""
        return ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")

    def addresses(self, settings: MinIOTrust) -> Mapping[str, str]:
        """The server's."""
        return {"endpoint": settings.endpoint}

    def target_id(self, target: MinIOTarget) -> str:
        """The policy's name."""
        return target.policy

    def target_label(self, target: MinIOTarget) -> str:
        """``policy/NAME``."""
        return f"policy/{target.policy}"

    def check_target_id(self, trust: TrustView, target: str, path: str) -> Iterator[Finding]:
        """MINIO-TARGET-FORM."""
        yield from rules.target(trust, target, path)

    def check_subject(self, subject: str, path: str) -> Iterator[Finding]:
        """MINIO-SUBJECT-FORM."""
        yield from rules.subject(subject, path)

    def findings(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer | None) -> Iterator[Finding]:
        """Audience, CA, declared policies, and what one subject would get."""
        settings: MinIOTrust = trust.settings
        where = "spec.relyingParty.minio"
        yield from rules.audience(trust.audience, "spec.audience")
        yield from addresses.ca_bundle(settings.ca_bundle, f"{where}.caBundle")
        yield from rules.server(settings, where)
        yield from rules.policies(settings, f"{where}.policies")
        yield from rules.one_policy(settings, bindings, "spec.allow")

    def limits(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> Sequence[Limit]:
        """None that bindings add up to."""
        return ()

    def access(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> documents.MinIOAccess:
        """The provider, and the policies of all subjects."""
        settings: MinIOTrust = trust.settings
        bound: dict[str, set[str]] = {}
        for binding in bindings:
            bound.setdefault(self.target_id(binding.target), set()).update(binding.subjects)
        declared = [policy for policy in settings.policies if policy.name in bound]
        policies = {}
        if settings.mode == "Claim":
            mapping = {"CLAIM_NAME": "sub"}
            for subject in sorted({subject for subjects in bound.values() for subject in subjects}):
                mine = (s for p in declared if subject in bound[p.name] for s in documents.statements(p))
                policies[subject] = documents.document(mine, trust.session_seconds)
        else:
            # The name is the trust's: roles exist by their policies, and a server may hold several.
            mapping = {"ROLE_POLICY": f"apostille-{trust.name}"}
            if declared:
                theirs = (s for p in declared for s in documents.statements(p, bound[p.name]))
                policies[mapping["ROLE_POLICY"]] = documents.document(theirs, trust.session_seconds)
        return documents.MinIOAccess(documents.provider(issuer.url, trust.audience, trust.name, mapping), policies)

    def parse(self, files: Mapping[str, str]) -> documents.MinIOAccess:
        """Reads the native documents back."""
        return documents.parse(files)

    def document_findings(self, access: documents.MinIOAccess) -> Iterable[Finding]:
        """Rules on documents, whoever wrote them."""
        return rules.documents(access)

    def acceptances(self, access: documents.MinIOAccess) -> Iterator[Acceptance]:
        """What the documents accept."""
        return evaluation.acceptances(access)

    def evaluate(self, access: documents.MinIOAccess, claims: Claims, target: str) -> Verdict:
        """As the server would judge, exchange and policy together."""
        return evaluation.evaluate(access, claims, target)

    def render(self, access: documents.MinIOAccess, form: Format) -> Mapping[str, str]:
        """The provider's environment and the policies; ``mc``; aminueza/minio."""
        return _RENDERED[form](access)

    def sdk(self, trust: TrustView, binding: BindingView, paths: Paths) -> Delivered:
        """The AWS SDKs' contract for web identities, with MinIO's endpoints (cloud-trust §18.1)."""
        settings: MinIOTrust = trust.settings
        region = settings.region or _SIGNING_REGION
        endpoint = settings.endpoint.rstrip("/")
        files = {CA_FILE: settings.ca_bundle} if settings.ca_bundle else {}
        ca = f"{paths.files}/{CA_FILE}" if files else ""
        session = f"{binding.namespace}.{binding.name}"[:MAX_SESSION_NAME]
        if binding.profile:
            return aws_config.profile(
                binding.profile,
                {
                    "role_arn": _role(trust, binding),
                    "web_identity_token_file": paths.token,
                    "role_session_name": session,
                    "region": region,
                    # Of every service: this server has no more than the two.
                    "endpoint_url": endpoint,
                    "ca_bundle": ca,
                },
                paths,
                files,
            )
        environment = {
            "AWS_ROLE_ARN": _role(trust, binding),
            "AWS_WEB_IDENTITY_TOKEN_FILE": paths.token,
            "AWS_ROLE_SESSION_NAME": session,
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "AWS_ENDPOINT_URL_STS": endpoint,
            "AWS_ENDPOINT_URL_S3": endpoint,
        }
        if ca:
            environment["AWS_CA_BUNDLE"] = ca
        return Delivered(environment, files)

    def exchange(self, trust: TrustView, binding: BindingView, paths: Paths) -> None:
        """None: the SDKs do it."""


def _role(trust: TrustView, binding: BindingView) -> str:
    if trust.settings.mode == "Role":
        return role_arn(trust.audience, trust.settings.region)
    # SDKs insist on one; with Claim the server ignores it, so it may say what it is about.
    return f"arn:minio:iam:::role/{binding.target.policy}"
