"""MinIO as a party: documents, rules, what containers are given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apostille.core.pod_plan import pod_plan
from apostille.parties.minio import documents
from apostille.parties.minio.party import MinIO
from apostille.parties.minio.settings import role_arn
from builders import ISSUER
from self_hosted import LEDGER, MINIO_AUDIENCE, READER, minio_binding, minio_trust

PARTY = MinIO()
WRITER = "system:serviceaccount:payments:writer"


def writer(name: str = "incoming") -> Any:
    return minio_binding(name, policy="ledger-writer", subject={"serviceAccountNames": ["writer"]})


def access(*bindings: Any, **spec: Any) -> documents.MinIOAccess:
    return PARTY.access(minio_trust(**spec).view, [binding.view(PARTY) for binding in bindings], ISSUER)


def test_a_policy_is_named_after_its_subject_and_holds_its_targets_statements() -> None:
    made = access(minio_binding(), writer())
    assert made.setting("CLAIM_NAME") == "sub"
    assert made.setting("ROLE_POLICY") == ""
    assert list(made.policies) == [READER, WRITER]
    *reading, ceiling = made.policies[READER]["Statement"]
    assert [s["Action"] for s in reading] == [["s3:ListBucket"], ["s3:GetObject"]]
    assert [s["Sid"] for s in made.policies[WRITER]["Statement"]] == ["ledger-writer", ceiling["Sid"]]
    assert all("Condition" not in s for s in reading)


def test_every_policy_refuses_credentials_beyond_the_trusts_ceiling() -> None:
    for mode in ("Claim", "Role"):
        made = access(minio_binding(), writer(), settings={"mode": mode}, ceilings={"sessionSeconds": 1800})
        for policy in made.policies.values():
            assert policy["Statement"][-1] == {
                "Sid": "apostille-ceiling",
                "Effect": "Deny",
                "Action": ["sts:AssumeRoleWithWebIdentity"],
                "Condition": {"NumericGreaterThan": {"sts:DurationSeconds": [1800]}},
            }


def test_a_denial_of_anything_else_is_not_judged_by_guess() -> None:
    made = access(minio_binding())
    claims = {"sub": READER, "aud": [MINIO_AUDIENCE]}
    assert PARTY.evaluate(made, claims, "ledger-reader").allowed
    denial = {"Sid": "no", "Effect": "Deny", "Action": ["s3:GetObject"], "Resource": ["*"]}
    more = {READER: {**made.policies[READER], "Statement": [*made.policies[READER]["Statement"], denial]}}
    with pytest.raises(ValueError, match="denies more than long credentials"):
        PARTY.evaluate(documents.MinIOAccess(made.environment, more), claims, "ledger-reader")


def test_with_role_one_policy_speaks_to_each_targets_subjects() -> None:
    made = access(minio_binding(), writer(), minio_binding("o", "orders"), settings={"mode": "Role"})
    assert (made.setting("ROLE_POLICY"), made.setting("CLAIM_NAME")) == ("apostille-minio-prod", "")
    (policy,) = made.policies.values()
    allowed = [s for s in policy["Statement"] if s["Effect"] == "Allow"]
    bound = {s["Sid"]: s["Condition"]["StringEquals"]["jwt:sub"] for s in allowed}
    assert bound == {"ledger-reader": ["system:serviceaccount:orders:reader", READER], "ledger-writer": [WRITER]}


@pytest.mark.parametrize("mode", ["Claim", "Role"])
def test_nobody_bound_is_no_policy_at_all(mode: str) -> None:
    made = access(settings={"mode": mode})
    assert made.policies == {}
    assert json.loads(documents.render(made)["policies.json"]) == {}


@pytest.mark.parametrize("mode", ["Claim", "Role"])
def test_rendering_is_deterministic_and_reads_back(mode: str) -> None:
    bindings = [minio_binding(), writer(), minio_binding("o", "orders")]
    one = access(*bindings, settings={"mode": mode})
    other = access(*reversed(bindings), settings={"mode": mode})
    assert one.canonical() == other.canonical()
    files = documents.render(one)
    assert list(files) == ["openid.env", "policies.json"]
    assert documents.parse(files) == one
    assert documents.render(documents.parse(files)) == files


def test_no_secret_is_in_the_documents_and_they_say_that_one_is_needed() -> None:
    environment = documents.render(access(minio_binding()))["openid.env"]
    assert not any(line.startswith("MINIO_IDENTITY_OPENID_CLIENT_SECRET") for line in environment.splitlines())
    assert "CLIENT_SECRET yourself" in environment


@pytest.mark.parametrize(
    ("files", "match"),
    [
        ({}, r"openid\.env"),
        ({"openid.env": "X=1"}, r"openid\.env: line 1"),
        ({"openid.env": "#\nMINIO_X", "policies.json": "{}"}, r"openid\.env: line 2"),
        ({"openid.env": ""}, r"policies\.json"),
        ({"openid.env": "", "policies.json": "[]"}, r"policies\.json"),
        ({"openid.env": "", "policies.json": '{"a": {"Statement": [1]}}'}, r"policies\.json"),
    ],
)
def test_a_broken_document_is_named(files: dict[str, str], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        documents.parse(files)


def test_environment_files_as_people_write_them() -> None:
    text = "export MINIO_IDENTITY_OPENID_CLIENT_ID=\"a=b\"\n\nMINIO_IDENTITY_OPENID_CLAIM_NAME='sub'\n"
    read = documents.parse({"openid.env": text, "policies.json": "{}"})
    assert (read.setting("CLIENT_ID"), read.setting("CLAIM_NAME")) == ("a=b", "sub")


def test_what_an_sdk_gets() -> None:
    made = pod_plan(minio_trust(settings={"endpoint": f"{MINIO_AUDIENCE}/"}), minio_binding())
    assert made.frozen.environment == {
        "AWS_ROLE_ARN": "arn:minio:iam:::role/ledger-reader",
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/secrets/apostille.dev/ledger/token",
        "AWS_ROLE_SESSION_NAME": "payments.ledger",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_STS": MINIO_AUDIENCE,
        "AWS_ENDPOINT_URL_S3": MINIO_AUDIENCE,
    }
    assert (made.frozen.delivery, made.frozen.audience, dict(made.live.files)) == ("SDK", MINIO_AUDIENCE, {})
    pem = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
    with_ca = pod_plan(minio_trust(settings={"caBundle": pem, "region": "eu-1"}), minio_binding())
    assert with_ca.frozen.environment["AWS_CA_BUNDLE"] == "/etc/apostille.dev/ledger/ca.pem"
    assert with_ca.frozen.environment["AWS_REGION"] == "eu-1"
    assert with_ca.live.files == {"ca.pem": pem}


def test_with_role_the_sdk_names_the_role_that_the_server_derives() -> None:
    made = pod_plan(minio_trust(settings={"mode": "Role"}, audience="sts.minio.test"), minio_binding())
    assert made.frozen.environment["AWS_ROLE_ARN"] == role_arn("sts.minio.test", "")


def test_botocores_shortest_role_arn_is_reached_by_every_name() -> None:
    assert len("arn:minio:iam:::role/a") >= 20


@pytest.mark.parametrize(
    ("settings", "spec", "rules"),
    [
        ({}, {}, ["MIN204"]),
        ({"mode": "Role"}, {}, ["MIN204", "MIN202"]),
        ({"policies": LEDGER * 2}, {}, ["MIN204", "MIN103", "MIN103"]),
        ({}, {"audience": "minio"}, ["APO107", "MIN204"]),
        ({}, {"audience": "vault"}, ["MIN204"]),
        ({}, {"audience": "a'b"}, ["MIN203", "MIN204"]),
        ({}, {"audience": "a$b"}, ["MIN203", "MIN204"]),
        ({"caBundle": "no"}, {}, ["APO603", "MIN204"]),
    ],
)
def test_declarations(settings: dict[str, Any], spec: dict[str, Any], rules: list[str]) -> None:
    found = PARTY.findings(minio_trust(settings=settings, **spec).view, [minio_binding().view(PARTY)], ISSUER)
    assert [finding.rule.id for finding in found] == rules


@pytest.mark.parametrize(
    ("resource", "broad"),
    [("*", True), ("*/x", True), ("?", True), ("ledger", False), ("ledger/*", False), ("ledger-*", False)],
)
def test_every_bucket_is_nobodys_target(resource: str, broad: bool) -> None:
    statements = [{"actions": ["s3:*"], "resources": [f"arn:aws:s3:::{resource}"]}]
    view = minio_trust(settings={"policies": [{"name": "a", "statements": statements}]}).view
    found = [finding for finding in PARTY.findings(view, (), ISSUER) if finding.refuses]
    assert [finding.rule.id for finding in found] == (["MIN102"] if broad else [])
    assert all(f.path == "spec.relyingParty.minio.policies[0].statements[0].resources[0]" for f in found)


@pytest.mark.parametrize(("mode", "rules"), [("Claim", ["MIN201"]), ("Role", [])])
def test_a_subject_of_two_policies(mode: str, rules: list[str]) -> None:
    both = [minio_binding().view(PARTY), minio_binding("b", policy="ledger-writer").view(PARTY)]
    found = PARTY.findings(minio_trust(settings={"mode": mode}).view, both, ISSUER)
    assert [finding.rule.id for finding in found if finding.refuses] == rules


@pytest.mark.parametrize(("name", "good"), [("ledger-reader", True), ("other", False), ("*", False), ("", False)])
def test_targets_are_what_the_trust_describes(name: str, good: bool) -> None:
    assert [f.rule.id for f in PARTY.check_target_id(minio_trust().view, name, "p")] == ([] if good else ["MIN101"])


def test_a_subject_that_the_servers_storage_cannot_hold() -> None:
    for length, rules in ((255, []), (256, ["MIN205"])):
        assert [f.rule.id for f in PARTY.check_subject("s" * length, "p")] == rules
