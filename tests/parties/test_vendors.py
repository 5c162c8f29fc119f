"""Databricks, HCP and Snowflake as parties: rules, what is rendered and read back, what containers and sidecar get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from apostille.core.judge import Context, judge_trust
from apostille.core.pod_plan import pod_plan
from apostille.model.identity import Issuer
from apostille.parties.databricks import rules as databricks_rules
from apostille.parties.databricks.party import Databricks
from apostille.parties.hcp.documents import HCPAccess
from apostille.parties.hcp.party import HCP
from apostille.parties.hcp.rules import documents as hcp_judged
from apostille.parties.snowflake import rules as snowflake_rules
from apostille.parties.snowflake.party import Snowflake
from apostille.rules import issuers
from builders import CONTEXT, ISSUER
from vendors import (
    ACCOUNT,
    APPLICATIONS,
    PROJECT,
    databricks_binding,
    databricks_trust,
    hcp_binding,
    hcp_trust,
    snowflake_binding,
    snowflake_trust,
)

EXAMPLES = Path(__file__).parents[2] / "examples"
MAKERS: dict[str, Any] = {"databricks": databricks_trust, "hcp": hcp_trust, "snowflake": snowflake_trust}
OWN = {"audience": "https://own.example"}
SUBJECT = "system:serviceaccount:payments:reader"


def found(trust: Any, context: Context = CONTEXT) -> list[tuple[str, str]]:
    return [(finding.rule.id, finding.path) for finding in judge_trust(trust, (), context)]


@pytest.mark.parametrize(
    ("name", "settings", "spec", "expected"),
    [
        ("databricks", {}, {}, []),
        ("databricks", {"host": "https://dbc-a1b2345c-d6e7.cloud.databricks.com/"}, OWN, ["DBX103"]),
        ("databricks", {"host": "dbc-a1b2345c-d6e7.cloud.databricks.com"}, OWN, ["DBX103"]),
        ("databricks", {"host": "http://x.cloud.databricks.com"}, OWN, ["DBX103"]),
        ("databricks", {"host": "https://accounts.cloud.databricks.com"}, OWN, ["DBX103"]),
        ("databricks", {"host": "https://evil.example"}, OWN, ["DBX103"]),
        ("databricks", {"host": "https://x.cloud.databricks.com.evil.example"}, OWN, ["DBX103"]),
        ("databricks", {"host": "https://user@x.cloud.databricks.com"}, OWN, ["DBX103"]),
        ("databricks", {"host": "https://adb-1.2.azuredatabricks.net"}, {}, []),
        ("databricks", {}, {"audience": ACCOUNT}, ["DBX105"]),
        ("databricks", {}, {"audience": "https://acme-prod.snowflakecomputing.com"}, ["APO105"]),
        ("databricks", {}, {"audience": "sts.amazonaws.com"}, ["APO105"]),
        ("databricks", {}, {"ceilings": {"sessionSeconds": 900}}, ["DBX106"]),
        ("databricks", {"servicePrincipals": [{"applicationID": one, "id": "7"} for one in APPLICATIONS[:2]]}, {},
         ["DBX104"]),
        ("hcp", {}, {}, []),
        ("hcp", {}, {"audience": "https://dbc-1.cloud.databricks.com"}, ["APO105"]),
        ("hcp", {}, {"ceilings": {"sessionSeconds": 1800}}, ["HCP102"]),
        ("snowflake", {}, {}, []),
        ("snowflake", {"authenticationPolicy": ""}, {}, ["SNO104"]),
        ("snowflake", {"account": "https://acme-prod.snowflakecomputing.com"}, OWN, ["SNO102"]),
        ("snowflake", {"account": "acme-prod.snowflakecomputing.com"}, OWN, ["SNO102"]),
        ("snowflake", {"account": "acme-prod/"}, OWN, ["SNO102"]),
        ("snowflake", {"account": "acme prod"}, OWN, ["SNO102"]),
        ("snowflake", {"account": "xy12345.eu-central-1"}, {}, []),
        ("snowflake", {}, {"audience": "snowflakecomputing.com"}, ["SNO103"]),
        ("snowflake", {}, {"audience": "https://api.cloud.hashicorp.com/iam/project/x"}, ["APO105"]),
    ],
)  # fmt: skip
def test_declarations(name: str, settings: dict[str, Any], spec: dict[str, Any], expected: list[str]) -> None:
    judged = found(MAKERS[name](settings=settings, **spec))
    assert [rule for rule, _ in judged] == expected
    assert all(path.startswith("spec.") for _, path in judged)


@pytest.mark.parametrize(
    ("name", "target", "expected"),
    [
        ("databricks", APPLICATIONS[1], []),
        ("databricks", APPLICATIONS[0].upper(), ["DBX101"]),
        ("databricks", "70", ["DBX101"]),
        ("databricks", "bbbbbbbb-bbbb-cccc-dddd-000000000000", ["DBX102"]),
        ("hcp", "abc", []),
        ("hcp", "ab", ["HCP101"]),
        ("hcp", f"iam/project/{PROJECT}/service-principal/abc", ["HCP101"]),
        ("snowflake", "READER_2", []),
        ("snowflake", "reader", ["SNO101"]),
        ("snowflake", "ACCOUNTADMIN", ["SNO105"]),
        ("snowflake", 'A"B', ["SNO101"]),
    ],
)
def test_targets(name: str, target: str, expected: list[str]) -> None:
    trust = MAKERS[name]()
    assert [one.rule.id for one in trust.party.check_target_id(trust.view, target, "p")] == expected


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://oidc.example.com/cluster-a", True),
        ("https://oidc.example.com/", True),
        ("https://oidc.example.com:8443", True),
        ("http://oidc.example.com", False),
        ("https://kubernetes.default.svc", False),
        ("https://10.0.0.1", False),
        ("https://OIDC.example.com", False),
        ("https://oidc.example.com?x", False),
        ("https://localhost", False),
        ("https://cluster", False),
    ],
)
def test_issuers_that_must_be_reached(url: str, good: bool) -> None:
    assert (issuers.unusable(url) == "") is good
    context = Context(Issuer(url), "apostille-system")
    # Generic rules of issuers may say something of their own.
    refused = [rule for make in MAKERS.values() for rule, _ in found(make(), context) if not rule.startswith("APO")]
    assert refused == ([] if good else ["DBX201", "HCP201", "SNO201"])


def test_databricks_limits_name_the_binding_that_goes_over() -> None:
    trust = databricks_trust()
    many = [
        databricks_binding(f"b{i:02}", subject={"serviceAccountNames": [f"sa-{i}"]}).view(trust.party)
        for i in range(21)
    ]
    (limit,) = trust.party.limits(trust.view, many, ISSUER)
    assert (limit.used, limit.most, limit.over, limit.rule) == (21, 20, "payments/b20", databricks_rules.POLICIES)
    (kept,) = trust.party.limits(trust.view, many[:20], ISSUER)
    assert kept.over == ""


def test_hcp_limits_count_the_statement_as_it_is_rendered() -> None:
    trust = hcp_trust()
    party = trust.party
    many = [hcp_binding(f"b{i}", subject={"serviceAccountNames": [f"sa-{i}"]}).view(party) for i in range(9)]
    for several in range(1, 10):
        (limit,) = party.limits(trust.view, many[:several], ISSUER)
        document = json.loads(party.render(party.access(trust.view, many[:several], ISSUER), "native")
                              ["provider-payments-reader.json"])  # fmt: skip
        assert limit.used == len(document["provider"]["conditional_access"])
        assert bool(limit.over) is (limit.used > 511)


def test_a_service_account_is_one_snowflake_users() -> None:
    trust = snowflake_trust()
    bindings = [snowflake_binding("a").view(trust.party), snowflake_binding("b", user="OTHER").view(trust.party)]
    judged = [one for one in trust.party.findings(trust.view, bindings, ISSUER) if one.rule.id == "SNO202"]
    assert "payments/b to OTHER" in judged[0].message


def statement(text: str) -> HCPAccess:
    provider = {"conditional_access": text, "oidc_config": {"issuer_uri": ISSUER.url, "allowed_audiences": ["x"]}}
    return HCPAccess({"p": {"parent_resource_name": "p", "name": "n", "provider": provider}})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"jwt_claims.sub == `{SUBJECT}`", []),
        (f"jwt_claims.sub == `{SUBJECT}` or jwt_claims.sub == `x`", []),
        (f"jwt_claims.sub == `{SUBJECT}` and jwt_claims.aud is not empty", []),
        (f"not (jwt_claims.sub != `{SUBJECT}` or jwt_claims.x == `1`)", []),
        ('jwt_claims["kubernetes.io"].serviceaccount.uid == "u"', []),
        ('jwt_claims["kubernetes.io"].namespace == "n" and "/jwt_claims/kubernetes.io/serviceaccount/name" == "s"', []),
        ("jwt_claims.sub matches `^system:serviceaccount:payments:(reader)$`", []),
        ("jwt_claims.sub matches `payments:reader`", ["HCP204"]),
        ("jwt_claims.sub matches `^payments:reader$|x`", ["HCP204"]),
        ("jwt_claims.sub matches `^.*$`", ["HCP206"]),
        ("jwt_claims.sub != `x`", ["HCP205"]),
        ("not jwt_claims.sub == `x`", ["HCP205"]),
        ("jwt_claims.sub is not empty", ["HCP205"]),
        ("jwt_claims.missing is empty", ["HCP205"]),
        ("jwt_claims.sub contains `payments`", ["HCP205"]),
        (f"jwt_claims.sub == `{SUBJECT}` or jwt_claims.sub is not empty", ["HCP205"]),
        ('jwt_claims["kubernetes.io"].namespace == "payments"', ["HCP206"]),
        ("jwt_claims.iss == `x`", ["HCP206"]),
        ("", ["HCP203"]),
        ("jwt_claims.sub = `x`", ["HCP207"]),
        ("jwt_claims.sub in [`a`]", ["HCP207"]),
    ],
)
def test_statements_of_hcp(text: str, expected: list[str]) -> None:
    assert [one.rule.id for one in hcp_judged(statement(text))] == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"subject": ""}, ["DBX203"]),
        ({"audiences": []}, ["DBX204"]),
        ({"subject_claim": "aud"}, ["DBX205"]),
    ],
)
def test_policies_of_databricks(changes: dict[str, Any], expected: list[str]) -> None:
    party, trust = Databricks(), databricks_trust()
    files = dict(party.render(party.access(trust.view, [databricks_binding().view(party)], ISSUER), "native"))
    ((name, text),) = files.items()
    document = json.loads(text)
    document["oidc_policy"] |= changes
    read = party.parse({name: json.dumps(document)})
    assert [one.rule.id for one in databricks_rules.documents(read)] == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("", "", []),
        ("TYPE = SERVICE", "TYPE = PERSON", ["SNO204"]),
        ("\n  OIDC_AUDIENCE_LIST = ('https://acme-prod.snowflakecomputing.com')", "", ["SNO203"]),
        ("'https://acme-prod.snowflakecomputing.com'", "'snowflakecomputing.com'", ["SNO203"]),
        ("'WORKLOAD_IDENTITY'", "'WORKLOAD_IDENTITY', 'PASSWORD'", ["SNO205"]),
        ("ALLOWED_OIDC_ISSUERS = ('https://oidc.example.com/cluster-a')", "", ["SNO205"]),
        ("(OIDC)", "(ALL)", ["SNO205"]),
    ],
)
def test_scripts_of_snowflake(before: str, after: str, expected: list[str]) -> None:
    party, trust = Snowflake(), snowflake_trust()
    files = party.render(party.access(trust.view, [snowflake_binding().view(party)], ISSUER), "native")
    assert not before or any(before in text for text in files.values())
    changed = {name: text.replace(before, after) if before else text for name, text in files.items()}
    assert [one.rule.id for one in snowflake_rules.documents(party.parse(changed))] == expected


@pytest.mark.parametrize(
    ("party", "files", "match"),
    [
        (Databricks(), {"policy-x.json": "{}"}, "policy-x.json"),
        (Databricks(), {f"policy-{APPLICATIONS[0]}.p.json": "no"}, "not a JSON"),
        (Databricks(), {f"policy-{APPLICATIONS[0]}.p.json": "[]"}, "must be an object"),
        (HCP(), {"provider-abc.json": "no"}, "not a JSON"),
        (HCP(), {"provider-abc.json": "{}"}, "must be an object"),
        (HCP(), {"provider-abc.json": '{"provider": {"oidc_config": {}}}'}, "must name"),
        (Snowflake(), {"user-A.sql": "DROP USER A;"}, "user-A.sql"),
        (Snowflake(), {"user-A.sql": "CREATE USER A"}, "user-A.sql"),
        (Snowflake(), {"user-A.sql": "ALTER USER A SET WORKLOAD_IDENTITY = (TYPE = AWS);"}, "user-A.sql"),
        (Snowflake(), {"user-A.sql": "ALTER USER A SET WORKLOAD_IDENTITY = (TYPE = OIDC;"}, "user-A.sql"),
    ],
)
def test_a_broken_document_is_named(party: Any, files: dict[str, str], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        party.parse(files)


def test_what_a_container_gets() -> None:
    lake = pod_plan(databricks_trust(), databricks_binding()).frozen
    assert (lake.delivery, lake.environment["DATABRICKS_CLIENT_ID"]) == ("SDK", APPLICATIONS[0])
    credential = json.loads(pod_plan(hcp_trust(), hcp_binding()).files["cred_file.json"])
    assert credential["workload"]["file"]["path"] == "/var/run/secrets/apostille.dev/hcp/token"
    connections = pod_plan(snowflake_trust(), snowflake_binding()).files["connections.toml"]
    assert 'token_file_path = "/var/run/secrets/apostille.dev/dwh/token"' in connections
    for trust, binding in ((databricks_trust(), databricks_binding), (hcp_trust(), hcp_binding)):
        plan = pod_plan(trust, binding(delivery={"mode": "Sidecar"}))
        assert plan.frozen.admission is not None
        assert [one.format for one in plan.frozen.admission.outputs] == ["token"]
    endpoint = pod_plan(hcp_trust(), hcp_binding(delivery={"mode": "Sidecar"})).frozen.admission
    assert endpoint is not None
    assert endpoint.endpoint == (
        f"https://api.cloud.hashicorp.com/2019-12-10/iam/project/{PROJECT}/service-principal/payments-reader"
        "/workload-identity-provider/cluster-a/exchange-token"
    )
