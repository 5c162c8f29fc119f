"""Cases of the catalogue for parties that one hosts oneself: what breaks a rule, and its innocent neighbour."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from apostille.core.judge import judge_trust
from apostille.model.finding import Finding
from apostille.parties.minio.documents import SUBJECT, MinIOAccess, document
from apostille.parties.minio.rules import documents as minio_documents
from apostille.parties.vault.documents import VaultAccess
from apostille.parties.vault.rules import documents
from builders import CONTEXT, ISSUER, trust
from self_hosted import LEDGER, minio_binding, minio_trust, vault_binding, vault_trust

Findings = Callable[[], Iterable[Finding]]
Cases = dict[str, tuple[str, Findings, Findings]]
"""Rule → field, what breaks it, what does not."""

_CA = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"


def _vault(**settings: Any) -> Findings:
    return lambda: judge_trust(vault_trust(settings=settings), (), CONTEXT)


def _vault_targets(target: str) -> Findings:
    allow = [{"namespace": "payments", "serviceAccounts": ["reader"], "targets": [target]}]
    return lambda: judge_trust(vault_trust(allow=allow), (), CONTEXT)


def _minio(spec: dict[str, Any] | None = None, **settings: Any) -> Findings:
    return lambda: judge_trust(minio_trust(settings=settings, **(spec or {})), (), CONTEXT)


def _minio_allow(account: str = "reader", target: str = "ledger-reader") -> Findings:
    return _minio({"allow": [{"namespace": "n" * 63, "serviceAccounts": [account], "targets": [target]}]})


def _minio_bound(*policies: str) -> Findings:
    by = minio_trust()
    views = [minio_binding(f"b{i}", policy=policy).view(by.party) for i, policy in enumerate(policies)]
    return lambda: by.party.findings(by.view, views, ISSUER)


def _minio_role(subjects: list[str] | None) -> Findings:
    """A role's policy with one statement, for these subjects or for everybody."""
    policy = document(
        [{"Sid": "a", "Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::b/*"]}], 900
    )
    if subjects is not None:
        policy["Statement"][0]["Condition"] = {"StringEquals": {SUBJECT: subjects}}
    name = "apostille-minio-prod"
    access = MinIOAccess({"MINIO_IDENTITY_OPENID_ROLE_POLICY": name}, {name: policy})
    return lambda: minio_documents(access)


def _documents(role: dict[str, Any] | None = None, config: dict[str, Any] | None = None) -> Findings:
    by = vault_trust()
    made = by.party.access(by.view, [vault_binding().view(by.party)], ISSUER)
    assert isinstance(made, VaultAccess)
    (good,) = made.roles.values()
    return lambda: documents(VaultAccess({**made.config, **(config or {})}, {"r": {**good, **(role or {})}}))


def _bucket(name: str) -> dict[str, Any]:
    return {
        "policies": [
            {"name": "ledger-reader", "statements": [{"actions": ["s3:*"], "resources": [f"arn:aws:s3:::{name}"]}]}
        ]
    }


_VAULT, _MINIO = "spec.relyingParty.vault", "spec.relyingParty.minio"
_SUBJECT = {"bound_subject": ""}

CASES: Cases = {
    "APO601": (f"{_VAULT}.address", _vault(address="http://vault.example"), _vault(address="https://vault.example")),
    "APO602": (f"{_VAULT}.address", _vault(address="https://169.254.169.254"), _vault(address="https://10.0.0.1")),
    "APO603": (f"{_VAULT}.caBundle", _vault(caBundle=_CA.replace("CERTIFICATE", "PRIVATE KEY")), _vault(caBundle=_CA)),
    "VLT101": ("spec.allow[0].targets[0]", _vault_targets("Reader"), _vault_targets("reader")),
    "VLT102": (
        f"{_VAULT}.roles[0].policies[0]",
        _vault(roles=[{"name": "a", "policies": ["root"]}]),
        _vault(roles=[{"name": "a", "policies": ["rooted"]}]),
    ),
    "VLT103": (
        f"{_VAULT}.roles[1].name",
        _vault(roles=[{"name": "a", "policies": ["x"]}] * 2),
        _vault(roles=[{"name": name, "policies": ["x"]} for name in "ab"]),
    ),
    "VLT201": (
        "role-r.json:bound_subject",
        _documents(_SUBJECT),
        _documents(_SUBJECT | {"bound_claims": {"sub": "s"}}),
    ),
    "VLT202": (
        "role-r.json:bound_claims",
        _documents(_SUBJECT | {"bound_claims": {"sub": "s*"}, "bound_claims_type": "glob"}),
        _documents(_SUBJECT | {"bound_claims": {"sub": "s*"}}),
    ),
    "VLT203": ("role-r.json:bound_audiences", _documents({"bound_audiences": []}), _documents()),
    "VLT204": ("config.json:bound_issuer", _documents(config={"bound_issuer": ""}), _documents()),
    "VLT205": ("config.json:jwt_supported_algs", _documents(config={"jwt_supported_algs": []}), _documents()),
    "VLT206": ("role-r.json:role_type", _documents({"role_type": "oidc"}), _documents()),
    "VLT207": ("config.json:default_role", _documents(config={"default_role": "r"}), _documents()),
    "VLT208": ("role-r.json:user_claim", _documents({"user_claim": "aud"}), _documents({"user_claim": "sub"})),
    "VLT209": ("role-r.json:token_period", _documents({"token_period": 600}), _documents({"token_period": 0})),
    "VLT210": (
        "role-r.json:clock_skew_leeway",
        _documents({"clock_skew_leeway": 61}),
        _documents({"clock_skew_leeway": 60}),
    ),
    "MIN101": ("spec.allow[0].targets[0]", _minio_allow(target="ledger"), _minio_allow()),
    "MIN102": (
        f"{_MINIO}.policies[0].statements[0].resources[0]",
        _minio(**_bucket("*")),
        _minio(**_bucket("ledger*")),
    ),
    "MIN103": (f"{_MINIO}.policies[2].name", _minio(policies=LEDGER * 2), _minio(policies=LEDGER)),
    "MIN201": ("spec.allow", _minio_bound("ledger-reader", "ledger-writer"), _minio_bound(*["ledger-reader"] * 2)),
    "MIN202": (f"{_MINIO}.mode", _minio(mode="Role"), _minio(mode="Claim")),
    "MIN203": ("spec.audience", _minio({"audience": "it's"}), _minio({"audience": "its"})),
    "MIN204": (_MINIO, _minio(), lambda: judge_trust(trust(), (), CONTEXT)),
    "MIN301": (
        "policies.json:apostille-minio-prod.Statement[0].Condition",
        _minio_role(None),
        _minio_role(["reader"]),
    ),
    "MIN205": ("spec.allow[0].serviceAccounts[0]", _minio_allow("a" * 170), _minio_allow("a" * 169)),
}
