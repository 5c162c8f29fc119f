"""Alibaba Cloud as a relying party."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.parties.alibaba import alone, commands, documents, resources, rules
from apostille.parties.alibaba import evaluate as evaluation
from apostille.parties.alibaba.settings import ROLE_ARN, AlibabaTarget, AlibabaTrust
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

_RENDERED = {"native": documents.render, "cli": commands.render, "terraform": resources.render}
_MAX_SESSION_NAME = 64  # characters of RoleSessionName (STS AssumeRoleWithOIDC)


class Alibaba:
    """Assertions are exchanged at STS for a session of a role; RAM decides by identity provider and trust policy."""

    name = "Alibaba"
    vendor = "Alibaba Cloud"
    configures = "OIDC identity provider, role trust policies"
    member = "alibaba"
    file_names = r"oidc-provider\.json|role-.+\.json"
    target_field = "roleARN"
    audiences: Sequence[str] = (rules.DEFAULT_AUDIENCE,)
    Trust = AlibabaTrust
    Target = AlibabaTarget
    # Every client of the vendor's exchanges the token file itself.
    deliveries: Sequence[Delivery] = ("SDK",)
    rules = rules.RULES
    alone_field = FIELD

    def default_audience(self, trust: TrustView) -> str | None:
        """What the vendor's own tools ask for."""
        return rules.DEFAULT_AUDIENCE

    def pins_instances(self, settings: AlibabaTrust) -> bool:
        """Never: of a token RAM sees issuer, audience and subject alone."""
        return False

    def static_credentials(self, settings: AlibabaTrust) -> Sequence[str]:
        """The default provider chain takes these before a token file (credentials-python, provider/default.py)."""
        return ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN")

    def addresses(self, settings: AlibabaTrust) -> Mapping[str, str]:
        """None: they follow from the region."""
        return {}

    def target_id(self, target: AlibabaTarget) -> str:
        """The role's ARN."""
        return target.role_arn

    def target_label(self, target: AlibabaTarget) -> str:
        """``role/NAME``."""
        return target.role_arn.rpartition(":")[2]

    def check_target_id(self, trust: TrustView, target: str, path: str) -> Iterator[Finding]:
        """ALI-TARGET-FORM, ALI-TARGET-ACCOUNT."""
        yield from rules.target(trust, target, path)

    def check_subject(self, subject: str, path: str) -> Iterable[Finding]:
        """None: no bound is documented."""
        return ()

    def findings(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer | None) -> Iterator[Finding]:
        """What is declared, the issuer, and the documents that would be rendered."""
        yield from rules.declared(trust)
        if issuer is not None:
            yield from rules.issuer(issuer, "spec.issuer")
            yield from rules.role_names(bindings, "spec.allow")
            yield from rules.documents(self.access(trust, bindings, issuer))

    def limits(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> Sequence[Limit]:
        """None that bindings use up and whose size is documented (ALI-POLICY-SIZE)."""
        return ()

    def access(self, trust: TrustView, bindings: Sequence[BindingView], issuer: Issuer) -> documents.AlibabaAccess:
        """One provider for the cluster, and per role the union of the subjects that are bound to it."""
        subjects: dict[str, set[str]] = {}
        for binding in bindings:
            if (match := ROLE_ARN.fullmatch(self.target_id(binding.target))) is not None:
                subjects.setdefault(match["name"], set()).update(binding.subjects)
        settings: AlibabaTrust = trust.settings
        # MaxSessionDuration starts at an hour (CreateRole).
        longest = max(3600, trust.session_seconds)
        return documents.AlibabaAccess(
            settings.account_id,
            settings.provider,
            issuer.url,
            trust.audience,
            tuple(documents.Role(name, tuple(sorted(subjects[name])), longest) for name in sorted(subjects)),
        )

    def parse(self, files: Mapping[str, str]) -> documents.AlibabaAccess:
        """Reads the native documents back."""
        return documents.parse(files)

    def alone(self, document: Any) -> Mapping[str, str] | None:
        """A role trust policy."""
        return alone.documents(document)

    def document_findings(self, access: documents.AlibabaAccess) -> Iterator[Finding]:
        """Rules on documents, whoever wrote them."""
        return rules.documents(access)

    def acceptances(self, access: documents.AlibabaAccess) -> Iterator[Acceptance]:
        """What the documents accept."""
        return evaluation.acceptances(access)

    def evaluate(self, access: documents.AlibabaAccess, claims: Claims, target: str) -> Verdict:
        """As STS would judge."""
        return evaluation.evaluate(access, claims, target)

    def render(self, access: documents.AlibabaAccess, form: Format) -> Mapping[str, str]:
        """The inputs of CreateOIDCProvider and CreateRole; ``aliyun ims`` and ``aliyun ram``; aliyun/alicloud."""
        return _RENDERED[form](access)

    def sdk(self, trust: TrustView, binding: BindingView, paths: Paths) -> Delivered:
        """The SDKs' contract for a token file (RRSA; credentials-python, utils/auth_util.py)."""
        return Delivered(
            {
                "ALIBABA_CLOUD_ROLE_ARN": binding.target.role_arn,
                "ALIBABA_CLOUD_OIDC_PROVIDER_ARN": trust.settings.provider_arn,
                "ALIBABA_CLOUD_OIDC_TOKEN_FILE": paths.token,
                "ALIBABA_CLOUD_ROLE_SESSION_NAME": f"{binding.namespace}.{binding.name}"[:_MAX_SESSION_NAME],
                "ALIBABA_CLOUD_STS_REGION": trust.settings.region,
                # A refused exchange must not lead an SDK on to the node's identity.
                "ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true",
            }
        )

    def exchange(self, trust: TrustView, binding: BindingView, paths: Paths) -> tuple[Exchange, Delivered] | None:
        """None."""
        return None
