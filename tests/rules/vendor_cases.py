"""Cases of the catalogue for Databricks, HCP and Snowflake: what breaks a rule, and its innocent neighbour."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from apostille.core.judge import Context, judge_trust
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from apostille.parties.databricks import rules as databricks_rules
from apostille.parties.hcp import rules as hcp_rules
from apostille.parties.snowflake import rules as snowflake_rules
from builders import CONTEXT, ISSUER
from vendors import (
    ACCOUNT,
    APPLICATIONS,
    databricks_binding,
    databricks_trust,
    hcp_binding,
    hcp_trust,
    snowflake_binding,
    snowflake_trust,
)

Findings = Callable[[], Iterable[Finding]]
Make = Callable[..., FederationTrust]

_HTTP = Issuer("http://oidc.example.com")
_SUBJECT = "system:serviceaccount:payments:reader"


def _of(make: Make, settings: dict[str, Any] | None = None, issuer: Issuer = ISSUER, **spec: Any) -> Findings:
    context = Context(issuer, CONTEXT.own_namespace)
    return lambda: judge_trust(make(settings=settings, **spec), (), context)


def _to(make: Make, target: str, account: str = "reader") -> Findings:
    return _of(make, allow=[{"namespace": "payments", "serviceAccounts": [account], "targets": [target]}])


def _bound(by: FederationTrust, bindings: Sequence[WorkloadBinding]) -> Findings:
    views = [one.view(by.party) for one in bindings]
    limits = by.party.limits(by.view, views, ISSUER)
    return lambda: [
        *by.party.findings(by.view, views, ISSUER), *(f for limit in limits for f in limit.findings("spec.allow"))
    ]  # fmt: skip


def _databricks(**changes: Any) -> Findings:
    by = databricks_trust()
    files = by.party.render(by.party.access(by.view, [databricks_binding().view(by.party)], ISSUER), "native")
    ((_, text),) = files.items()
    document = json.loads(text)
    document["oidc_policy"] |= changes
    read: Any = by.party.parse({f"policy-{APPLICATIONS[0]}.p.json": json.dumps(document)})
    return lambda: databricks_rules.documents(read)


def _hcp(statement: str) -> Findings:
    provider = {"conditional_access": statement, "oidc_config": {"issuer_uri": ISSUER.url}}
    document = {"parent_resource_name": "p", "name": "n", "provider": provider}
    read: Any = hcp_trust().party.parse({"provider-abc.json": json.dumps(document)})
    return lambda: hcp_rules.documents(read)


def _snowflake(before: str = "", after: str = "") -> Findings:
    by = snowflake_trust()
    files = by.party.render(by.party.access(by.view, [snowflake_binding().view(by.party)], ISSUER), "native")
    read: Any = by.party.parse({name: text.replace(before, after) for name, text in files.items()})
    return lambda: snowflake_rules.documents(read)


def _accounts(make: Callable[..., WorkloadBinding], count: int) -> list[WorkloadBinding]:
    return [make(f"b{i:02}", subject={"serviceAccountNames": [f"account-{i:02}"]}) for i in range(count)]


_TWICE = {"servicePrincipals": [{"applicationID": one, "id": "7"} for one in APPLICATIONS]}
_POLICY = f"policy-{APPLICATIONS[0]}.p.json:oidc_policy"
_STATEMENT = "provider-abc.json:provider.conditional_access"
_EXACT = _hcp(f"jwt_claims.sub == `{_SUBJECT}`")
_LONG = "n" * (255 - len("system:serviceaccount:payments:"))
_USER = "user-PAYMENTS_READER.sql"

CASES: dict[str, tuple[str, Findings, Findings]] = {
    "DBX101": ("spec.allow[0].targets[0]", _to(databricks_trust, "70"), _of(databricks_trust)),
    "DBX102": (
        "spec.allow[0].targets[0]",
        _to(databricks_trust, "bbbbbbbb-bbbb-cccc-dddd-000000000000"),
        _to(databricks_trust, APPLICATIONS[1]),
    ),
    "DBX103": (
        "spec.relyingParty.databricks.host",
        _of(databricks_trust, {"host": "https://x.cloud.databricks.com/"}, audience="https://own.example"),
        _of(databricks_trust, {"host": "https://x.cloud.databricks.com"}, audience="https://own.example"),
    ),
    "DBX104": (
        "spec.relyingParty.databricks.servicePrincipals[1]",
        _of(databricks_trust, _TWICE),
        _of(databricks_trust),
    ),
    "DBX105": ("spec.audience", _of(databricks_trust, audience=ACCOUNT), _of(databricks_trust)),
    "DBX106": (
        "spec.ceilings.sessionSeconds",
        _of(databricks_trust, ceilings={"sessionSeconds": 900}),
        _of(databricks_trust, ceilings={"sessionSeconds": 900, "assertionSeconds": 900}),
    ),
    "DBX201": ("spec.issuer", _of(databricks_trust, issuer=_HTTP), _of(databricks_trust)),
    "DBX202": (
        "spec.allow",
        _bound(databricks_trust(), _accounts(databricks_binding, 21)),
        _bound(databricks_trust(), _accounts(databricks_binding, 20)),
    ),
    "DBX203": (f"{_POLICY}.subject", _databricks(subject=""), _databricks()),
    "DBX204": (f"{_POLICY}.audiences", _databricks(audiences=[]), _databricks()),
    "DBX205": (f"{_POLICY}.subject_claim", _databricks(subject_claim="aud"), _databricks(subject_claim="sub")),
    "HCP101": ("spec.allow[0].targets[0]", _to(hcp_trust, "ab"), _to(hcp_trust, "abc")),
    "HCP102": ("spec.ceilings.sessionSeconds", _of(hcp_trust, ceilings={"sessionSeconds": 3599}), _of(hcp_trust)),
    "HCP201": ("spec.issuer", _of(hcp_trust, issuer=_HTTP), _of(hcp_trust)),
    "HCP202": (
        "spec.allow",
        _bound(hcp_trust(), _accounts(hcp_binding, 9)),
        _bound(hcp_trust(), _accounts(hcp_binding, 7)),
    ),
    "HCP203": (_STATEMENT, _hcp(""), _EXACT),
    "HCP204": (_STATEMENT, _hcp("jwt_claims.sub matches `payments`"), _hcp("jwt_claims.sub matches `^payments$`")),
    "HCP205": (_STATEMENT, _hcp("jwt_claims.sub != `x`"), _EXACT),
    "HCP206": (_STATEMENT, _hcp("jwt_claims.iss == `x`"), _EXACT),
    "HCP207": (_STATEMENT, _hcp("jwt_claims.sub = `x`"), _EXACT),
    "SNO101": ("spec.allow[0].targets[0]", _to(snowflake_trust, "reader"), _to(snowflake_trust, "READER")),
    "SNO102": (
        "spec.relyingParty.snowflake.account",
        _of(snowflake_trust, {"account": "https://acme-prod.snowflakecomputing.com"}, audience="https://own.example"),
        _of(snowflake_trust, {"account": "acme-prod"}, audience="https://own.example"),
    ),
    "SNO103": ("spec.audience", _of(snowflake_trust, audience="snowflakecomputing.com"), _of(snowflake_trust)),
    "SNO104": (
        "spec.relyingParty.snowflake.authenticationPolicy",
        _of(snowflake_trust, {"authenticationPolicy": ""}),
        _of(snowflake_trust),
    ),
    "SNO105": ("spec.allow[0].targets[0]", _to(snowflake_trust, "ACCOUNTADMIN"), _to(snowflake_trust, "READER")),
    "SNO106": (
        "spec.allow[0].serviceAccounts[0]",
        _to(snowflake_trust, "READER", _LONG + "n"),
        _to(snowflake_trust, "READER", _LONG),
    ),
    "SNO201": ("spec.issuer", _of(snowflake_trust, issuer=_HTTP), _of(snowflake_trust)),
    "SNO202": (
        "spec.allow",
        _bound(snowflake_trust(), [snowflake_binding("a"), snowflake_binding("b", user="OTHER")]),
        _bound(snowflake_trust(), [snowflake_binding("a"), snowflake_binding("b")]),
    ),
    "SNO203": (
        f"{_USER}:DEFAULT",
        _snowflake("'https://acme-prod.snowflakecomputing.com'", "'snowflakecomputing.com'"),
        _snowflake(),
    ),
    "SNO204": (f"{_USER}:TYPE", _snowflake("TYPE = SERVICE", "TYPE = PERSON"), _snowflake()),
    "SNO205": (
        "authentication-policy.sql:SECURITY.POLICIES.CLUSTER_A",
        _snowflake("'WORKLOAD_IDENTITY'", "'ALL'"),
        _snowflake(),
    ),
}
