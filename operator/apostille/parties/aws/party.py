"""AWS as a relying party."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.parties import aws_config, limits
from apostille.parties.aws import bare, commands, foreign, policy, resources, rules
from apostille.parties.aws import evaluate as evaluation
from apostille.parties.aws.settings import AWSTarget, AWSTrust
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
from apostille.parties.policy_grammar import FIELD
from apostille_exchange.recipe import Output

_RENDERED = {"native": policy.render, "cli": commands.render, "terraform": resources.render}
MAX_SESSION_NAME = 64  # characters of RoleSessionName (STS AssumeRoleWithWebIdentity)


class AWS:
    """Assertions are exchanged at STS for a role session; IAM decides by OIDC provider and trust policy."""

    name = "AWS"
    vendor = "Amazon Web Services"
    configures = "OIDC provider, role trust policies"
    member = "aws"
    file_names = r"oidc-provider\.json|role-.+\.json"
    target_field = "roleARN"
    audiences: Sequence[str] = ("sts.amazonaws.com",)
    Trust = AWSTrust
    Target = AWSTarget
    deliveries: Sequence[Delivery] = ("SDK", "Sidecar")
    rules = (*rules.RULES, *foreign.RULES)
    alone_field = FIELD

    def default_audience(self, trust: TrustView) -> str | None:
        """What the vendor's own tools ask for."""
        return rules.DEFAULT_AUDIENCE

    def pins_instances(self, settings: AWSTrust) -> bool:
        """Never: of a token IAM sees issuer, audience and subject alone (cloud-trust §3.2)."""
        return False

    def static_credentials(self, settings: AWSTrust) -> Sequence[str]:
        """The default provider chain takes these before a web identity (botocore credentials order)."""
        return ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE")

    def addresses(self, settings: AWSTrust) -> Mapping[str, str]:
        """None: they follow from the region."""
        return {}

    def target_id(self, target: AWSTarget) -> str:
        """The role's ARN."""
        return target.role_arn

    def target_label(self, target: AWSTarget) -> str:
        """``role/NAME``, path included."""
        return target.role_arn.rpartition(":")[2]

    def check_target_id(self, trust: TrustView, target: str, path: str) -> Iterator[Finding]:
        """AWS-TARGET-FORM, AWS-TARGET-ACCOUNT."""
        yield from rules.target(trust, target, path)

    def check_subject(self, subject: str, path: str) -> Iterator[Finding]:
        """AWS-SUBJECT-LONG."""
        yield from rules.subject(subject, path)

    def findings(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer | None) -> Iterator[Finding]:
        """Audience and issuer, and of what would be rendered the names of roles."""
        yield from rules.audience(trust.audience, "spec.audience")
        yield from rules.session(trust, "spec.ceilings.sessionSeconds")
        if issuer is not None:
            yield from rules.issuer_form(issuer, "spec.issuer")
            yield from rules.role_names(bindings, "spec.allow")

    def limits(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> list[Limit]:
        """Characters of each role's policy."""
        empty = self.access(trust, (), issuer)
        bare = policy.policy_size(empty, policy.Role("", ("",), 0)) - len('""')
        return limits.counted(
            rules.POLICY_SIZE, "characters of trust policy", policy.MAX_POLICY, bindings,
            of=lambda binding: self.target_id(binding.target), size=lambda subject: len(json.dumps(subject)),
            # A list has brackets, and a comma between its members.
            fixed=lambda _, subjects: bare + (subjects + 1 if subjects > 1 else 0),
        )  # fmt: skip

    def access(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> policy.AWSAccess:
        """One provider for the cluster, and per role the union of the subjects that are bound to it."""
        subjects: dict[str, set[str]] = {}
        for binding in bindings:
            subjects.setdefault(self.target_id(binding.target), set()).update(binding.subjects)
        # IAM's MaxSessionDuration starts at an hour; a lower ceiling is kept by whoever asks for the session.
        longest = max(3600, trust.session_seconds)
        return policy.AWSAccess(
            trust.settings.partition,
            trust.settings.account_id,
            issuer.url,
            trust.audience,
            tuple(policy.Role(arn, tuple(sorted(subjects[arn])), longest) for arn in sorted(subjects)),
        )

    def parse(self, files: Mapping[str, str]) -> policy.AWSAccess:
        """Reads the native documents back."""
        return policy.parse(files)

    def alone(self, document: Any) -> Mapping[str, str] | None:
        """A role trust policy."""
        return bare.documents(document)

    def document_findings(self, access: policy.AWSAccess) -> Iterator[Finding]:
        """Rules on documents, whoever wrote them."""
        return foreign.documents(access)

    def acceptances(self, access: policy.AWSAccess) -> Iterator[Acceptance]:
        """What the documents accept."""
        return evaluation.acceptances(access)

    def evaluate(self, access: policy.AWSAccess, claims: Claims, target: str) -> Verdict:
        """As STS would judge."""
        return evaluation.evaluate(access, claims, target)

    def render(self, access: policy.AWSAccess, form: Format) -> Mapping[str, str]:
        """The inputs of CreateOpenIDConnectProvider and CreateRole; ``aws iam``; hashicorp/aws."""
        return _RENDERED[form](access)

    def sdk(self, trust: TrustView, binding: BindingView, paths: Paths) -> Delivered:
        """The SDKs' contract for web identities (cloud-trust §3.5), as variables or as a profile."""
        if binding.profile:
            return aws_config.profile(
                binding.profile,
                {
                    "role_arn": binding.target.role_arn,
                    "web_identity_token_file": paths.token,
                    "role_session_name": _session_name(binding),
                    "region": trust.settings.region,
                    "sts_regional_endpoints": "regional",
                },
                paths,
            )
        return Delivered(
            {
                "AWS_ROLE_ARN": binding.target.role_arn,
                "AWS_WEB_IDENTITY_TOKEN_FILE": paths.token,
                "AWS_ROLE_SESSION_NAME": _session_name(binding),
                **_region(trust),
            }
        )

    def exchange(self, trust: TrustView, binding: BindingView, paths: Paths) -> tuple[Exchange, Delivered]:
        """AssumeRoleWithWebIdentity by the sidecar, into a shared credentials file."""
        path = f"{paths.credentials}/credentials"
        return (
            Exchange(
                grant="AWSWebIdentity",
                endpoint=trust.settings.sts,
                outputs=(Output(path, "aws-credentials"),),
                parameters={"roleARN": binding.target.role_arn, "roleSessionName": _session_name(binding)},
            ),
            # Without a file (the binding ended) an SDK would look on and take the node's identity instead.
            Delivered({"AWS_SHARED_CREDENTIALS_FILE": path, "AWS_EC2_METADATA_DISABLED": "true", **_region(trust)}),
        )


def _region(trust: TrustView) -> dict[str, str]:
    # Both: boto3 reads only the second (cloud-trust §3.5).
    return {
        "AWS_REGION": trust.settings.region,
        "AWS_DEFAULT_REGION": trust.settings.region,
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
    }


def _session_name(binding: BindingView) -> str:
    return f"{binding.namespace}.{binding.name}"[:MAX_SESSION_NAME]
