"""Cases of the catalogue for Google Cloud: what breaks a rule, and its innocent neighbour."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from apostille.core.judge import judge_trust
from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.parties.gcp import bare
from apostille.parties.gcp.documents import GCPAccess
from apostille.parties.gcp.rules import judged
from builders import CONTEXT, ISSUER
from samples.gcp import PROVIDER_NAME, READER, gcp_binding, gcp_trust

Findings = Callable[[], Iterable[Finding]]

_JWKS = '{"keys":[]}'
_POOL = PROVIDER_NAME.partition("/providers/")[0]
_SET = f"principalSet://iam.googleapis.com/{_POOL}"


def _trust(issuer: Issuer | None = None, spec: dict[str, Any] | None = None, **settings: Any) -> Findings:
    context = replace(CONTEXT, issuer=issuer) if issuer else CONTEXT
    return lambda: judge_trust(gcp_trust(settings=settings, **(spec or {})), (), context)


def _allow(account: str = "reader", target: str = READER) -> Findings:
    allow = [{"namespace": "n" * 63, "serviceAccounts": [account], "targets": [target]}]
    return lambda: judge_trust(gcp_trust(allow=allow), (), CONTEXT)


def _bound(*accounts: str, issuer: Issuer = ISSUER, **settings: Any) -> Findings:
    """What is said of bindings of these service accounts, together."""
    by = gcp_trust(settings=settings)
    views = [
        gcp_binding(f"b{i}", subject={"serviceAccountNames": [account]}).view(by.party)
        for i, account in enumerate(accounts)
    ]

    def found() -> list[Finding]:
        limits = by.party.limits(by.view, views, issuer)
        found = [finding for limit in limits for finding in limit.findings("spec.allow")]
        return [*by.party.findings(by.view, views, issuer), *found]

    return found


def _judged(provider: Mapping[str, Any] | None = None, member: str = "", **oidc: Any) -> Findings:
    good = {
        "name": PROVIDER_NAME,
        "attributeMapping": {
            "google.subject": "assertion.sub",
            "attribute.name": "assertion['kubernetes.io']['serviceaccount']['name']",
            "attribute.namespace": "assertion['kubernetes.io']['namespace']",
        },
        "attributeCondition": "assertion.sub == 'system:serviceaccount:payments:reader'",
        "oidc": {"issuerUri": ISSUER.url, "allowedAudiences": ["a"]} | oidc,
    }
    member = member or f"principal://iam.googleapis.com/{_POOL}/subject/system:serviceaccount:payments:reader"
    policy = {"bindings": [{"role": "roles/iam.workloadIdentityUser", "members": [member]}]}
    return lambda: judged(GCPAccess({}, good | dict(provider or {}), {READER: policy}))


def _alone(**changes: Any) -> Findings:
    """A credential file, as `gcloud iam workload-identity-pools create-cred-config` writes it."""
    good = {
        "type": "external_account", "audience": f"//iam.googleapis.com/{PROVIDER_NAME}",
        "token_url": "https://sts.googleapis.com/v1/token", "credential_source": {"file": "/var/run/token"},
        "service_account_impersonation_url": f"https://iamcredentials.googleapis.com/v1/projects/-/{READER}:generate",
    }  # fmt: skip
    return lambda: bare.findings(good | changes)


def _policy(*bindings: tuple[str, str]) -> Findings:
    """An IAM policy alone, as `gcloud projects get-iam-policy` prints it."""
    written = {"bindings": [{"role": role, "members": [member]} for role, member in bindings]}
    return lambda: bare.findings(written)


_PRINCIPAL = f"principal://iam.googleapis.com/{_POOL}/subject/x"
_MANY = [f"account-{i:03}" for i in range(100)]
_MEMBER = "service-account-reader_at_my-project.iam.gserviceaccount.com.json:bindings[0].members[0]"
_CONDITION, _MAPPING = "provider.json:attributeCondition", "provider.json:attributeMapping"
CASES: dict[str, tuple[str, Findings, Findings]] = {
    "GCP101": ("spec.allow[0].targets[0]", _allow(target="reader@example.com"), _allow(target="direct")),
    "GCP102": ("spec.relyingParty.gcp.projectNumber", _trust(projectNumber="my-project"), _trust(projectNumber="1")),
    "GCP103": ("spec.relyingParty.gcp.pool", _trust(pool="gcp-pool"), _trust(pool="pool-gcp")),
    "GCP104": ("spec.allow[0].serviceAccounts[0]", _allow("s" * 59), _allow("s" * 58)),
    "GCP201": ("spec.issuer", _trust(Issuer("http://i.example")), _trust(Issuer("https://i.example:8443/a"))),
    "GCP202": (
        "spec.issuer", _trust(Issuer("https://i.svc")), _trust(Issuer("https://i.svc", jwks=_JWKS), keys="Uploaded"),
    ),
    "GCP203": ("spec.issuer", _trust(Issuer("https://i.example"), keys="Uploaded"),
               _trust(Issuer("https://i.example", jwks=_JWKS), keys="Uploaded")),
    "GCP204": ("spec.issuer", _trust(Issuer("https://i.example", algorithms=("RS384",))),
               _trust(Issuer("https://i.example", algorithms=("ES256", "RS256")))),
    "GCP205": ("spec.allow", _bound(*_MANY), _bound(*_MANY[:80])),
    "GCP206": (
        "spec.allow", lambda: _over_members(1501), lambda: [f for f in _over_members(1500) if f.rule.id == "GCP206"],
    ),
    "GCP207": (_CONDITION, _judged({"attributeCondition": " "}), _judged()),
    "GCP208": (
        _CONDITION, _judged({"attributeCondition": "assertion.sub != ''"}),
        _judged({"attributeCondition": "assertion['kubernetes.io']['namespace'] == 'payments'"}),
    ),
    "GCP209": (_MEMBER, _judged(member=f"{_SET}/*"), _judged()),
    "GCP210": (_MEMBER, _judged(member=f"{_SET}/attribute.name/reader"), _judged()),
    "GCP211": (_MEMBER, _judged(member=f"{_SET}/attribute.namespace/payments"), _judged()),
    "GCP212": (
        _MAPPING, _judged({"attributeMapping": {"google.subject": "assertion['kubernetes.io']['namespace']"}}),
        _judged({"attributeMapping": {"google.subject": "assertion['kubernetes.io']['serviceaccount']['uid']"}}),
    ),
    "GCP213": (
        "provider.json:oidc.jwksJson", _judged(jwksJson=json.dumps({"keys": [{"kty": "RSA", "d": "x"}]})),
        _judged(jwksJson=json.dumps({"keys": [{"kty": "RSA", "n": "x", "e": "AQAB", "kid": "k"}]})),
    ),
    "GCP215": (
        _CONDITION, _judged({"attributeCondition": "assertion.sub.matches('^system:.*$')"}),
        _judged({"attributeCondition": "assertion.sub == 'system:serviceaccount:payments:reader'"}),
    ),
    "GCP216": (
        _CONDITION, _judged({"attributeCondition": "assertion.sub.startsWith('system:serviceaccount:payments:')"}),
        _judged({"attributeCondition": "assertion.sub in ['system:serviceaccount:payments:reader']"}),
    ),
    "GCP217": (
        "provider.json:oidc.allowedAudiences[0]", _judged(allowedAudiences=[ISSUER.url]),
        _judged(allowedAudiences=["https://gcp-prod.sts.example"]),
    ),
    "GCP218": ("token_url", _alone(token_url="https://sts.googleapis.com.evil.example/v1/token"), _alone()),
    "GCP219": (
        "bindings[1].members[0]",
        _policy(("roles/owner", "user:a@example.com"), ("roles/iam.workloadIdentityUser", _PRINCIPAL)),
        _policy(("roles/iam.workloadIdentityUser", _PRINCIPAL)),
    ),
    "GCP214": ("provider.json:oidc.allowedAudiences", _judged(allowedAudiences=["a", "b"]), _judged()),
}  # fmt: skip


def _over_members(count: int) -> list[Finding]:
    return list(_bound(*(f"a{i}" for i in range(count)))())


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"token_url": "https://sts.europe-west1.rep.googleapis.com/v1/token"}, []),
        ({"token_url": "https://sts.mtls.googleapis.com/v1/token"}, []),
        ({"universe_domain": "example.goog", "token_url": "https://sts.example.goog/v1/token",
          "service_account_impersonation_url": None}, []),
        ({"token_url": "http://sts.googleapis.com/v1/token"}, ["token_url"]),
        ({"token_url": "https://sts.googleapis.com@evil.example/"}, ["token_url"]),
        ({"token_url": "https://u:p@sts.googleapis.com/"}, ["token_url"]),
        ({"token_url": "https://sts.googleapis.com:8443/"}, ["token_url"]),
        ({"token_url": "https://[sts.googleapis.com/"}, ["token_url"]),
        ({"service_account_impersonation_url": "https://sts.googleapis.com/"}, ["service_account_impersonation_url"]),
        ({"credential_source": {"executable": {"command": "x"}}}, ["credential_source.executable"]),
        ({"credential_source": {"url": "http://169.254.169.254/"}}, ["credential_source.url"]),
        ({"universe_domain": "evil example"}, ["universe_domain"]),
        ({"type": "service_account", "token_url": "https://evil.example"}, []),
    ],
)  # fmt: skip
def test_where_a_credential_file_sends_tokens(changes: dict[str, Any], fields: list[str]) -> None:
    assert [finding.path for finding in _alone(**changes)()] == fields


@pytest.mark.parametrize("document", [None, [], {"bindings": 5}, {"bindings": [5, {"members": 5}, {"role": 1}]}])
def test_what_is_none_of_googles_documents_is_left_alone(document: Any) -> None:
    assert list(bare.findings(document)) == []
