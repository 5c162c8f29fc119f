"""AWS as a party: documents, limits, what containers and sidecar are given."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from apostille.core.judge import judge_binding, judge_trust
from apostille.core.pod_plan import pod_plan
from apostille.kinds import decode
from apostille.model.identity import Issuer
from apostille.parties.aws import policy
from apostille.parties.aws.party import AWS
from apostille.parties.aws.rules import audience
from apostille.parties.aws.settings import ROLE_ARN, AWSTrust
from apostille.parties.party import BindingView, Limit, TrustView
from apostille_testbed.parties.aws import IAM, IAMError
from builders import ACCOUNT, AUDIENCE, CONTEXT, ISSUER, allow, binding, raw_trust, role, sidecar, trust
from properties import examples

PARTY = AWS()


def access(*bindings: Any, **spec: Any) -> policy.AWSAccess:
    return PARTY.access(trust(**spec).view, [one.view(PARTY) for one in bindings], ISSUER)


def test_the_rendered_documents() -> None:
    files = PARTY.render(access(binding(), binding("b", "orders")), "native")
    assert list(files) == ["oidc-provider.json", "role-payments-reader.json"]
    assert json.loads(files["oidc-provider.json"]) == {"Url": ISSUER.url, "ClientIDList": [AUDIENCE]}
    document = json.loads(files["role-payments-reader.json"])
    (statement,) = json.loads(document["AssumeRolePolicyDocument"])["Statement"]
    assert statement["Principal"] == {"Federated": "arn:aws:iam::123456789012:oidc-provider/oidc.example.com/cluster-a"}
    assert statement["Condition"] == {
        "StringEquals": {
            "oidc.example.com/cluster-a:aud": AUDIENCE,
            "oidc.example.com/cluster-a:sub": [
                "system:serviceaccount:orders:reader",
                "system:serviceaccount:payments:reader",
            ],
        }
    }
    assert (document["RoleName"], document["Path"], document["MaxSessionDuration"]) == ("payments-reader", "/", 3600)


def test_rendering_is_deterministic_and_reads_back() -> None:
    bindings = [binding("a"), binding("b", "orders"), binding("c", target={"aws": {"roleARN": role("team/x/writer")}})]
    one, other = access(*bindings), access(*reversed(bindings))
    assert one == other
    assert one.canonical() == other.canonical()
    files = policy.render(one)
    assert policy.render(policy.parse(files)) == files


PROVIDER_ARN = "arn:aws:iam::123456789012:oidc-provider/x"
PROVIDER = {"oidc-provider.json": '{"Url": "https://x", "ClientIDList": ["a"]}'}


def foreign_role(principal: Any, name: str = "a", **document: Any) -> str:
    """As somebody else wrote it: one statement without a list around it."""
    statement = {"Effect": "Allow", "Principal": principal, "Action": policy.ACTION}
    written = {"RoleName": name, "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": statement}}
    return json.dumps(written | document)


def test_foreign_documents_are_read_in_every_form_that_iam_takes() -> None:
    files = {
        "oidc-provider.json": '{"Url": "https://x", "ClientIDList": ["a", "b"]}',
        "role-a.json": foreign_role({"Federated": [PROVIDER_ARN, "arn:aws:iam::123456789012:saml-provider/y"]}),
        "role-star.json": foreign_role("*", "star", Path="/p/"),
        "role-text.json": foreign_role({"Federated": PROVIDER_ARN}, "text", MaxSessionDuration=7200),
    }
    found = policy.parse(files)
    assert [role.arn for role in found.roles] == [role("a"), role("p/star"), role("text")]
    assert (found.audience, found.other_audiences) == ("a", ("b",)), "what a provider accepts beside ours is not lost"
    assert policy.parse(policy.render(found)) == found
    for receiver, allowed in (("a", True), ("b", True), ("c", False)):
        claims = {"iss": "https://x", "sub": "anybody", "aud": [receiver]}
        assert PARTY.evaluate(found, claims, role("text")).allowed is allowed, receiver


@pytest.mark.parametrize(
    ("files", "match"),
    [
        (PROVIDER | {"role-a.json": foreign_role("*")}, "role-a.json: .* names no OIDC provider"),
        (
            PROVIDER | {"role-a.json": foreign_role({"Federated": [1, "x:oidc-provider/x"]})},
            "role-a",
        ),
        (PROVIDER | {"role-a.json": foreign_role({"Federated": PROVIDER_ARN}, "a b")}, "role-a"),
        (PROVIDER | {"role-a.json": foreign_role({"Federated": PROVIDER_ARN}, Path=1)}, "role-a"),
        (PROVIDER | {"role-a.json": "[]"}, "role-a.json"),
        (
            PROVIDER | {"role-a.json": '{"RoleName": "a", "AssumeRolePolicyDocument": "{"}'},
            "role-a",
        ),
        (
            PROVIDER | {"role-a.json": '{"RoleName": "a", "AssumeRolePolicyDocument": []}'},
            "role-a",
        ),
        ({"oidc-provider.json": '{"Url": 1, "ClientIDList": ["a"]}'}, "oidc-provider.json"),
        ({}, "oidc-provider.json"),
        ({"oidc-provider.json": "[]"}, "oidc-provider.json"),
        ({"oidc-provider.json": '{"Url": "https://x", "ClientIDList": []}'}, "oidc-provider.json"),
        ({"oidc-provider.json": '{"Url": "https://x", "ClientIDList": ["a"]}', "role-a.json": "{}"}, "role-a.json"),
        ({"oidc-provider.json": '{"Url": "https://x", "ClientIDList": ["a"]}', "role-a.json": "no"}, "role-a.json"),
    ],
)
def test_a_broken_document_is_named(files: dict[str, str], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        policy.parse(files)


def test_the_size_of_a_policy_is_counted_before_anything_is_applied() -> None:
    def limit(*bound: tuple[str, str, int]) -> Limit:
        views = [
            replace(
                binding(name, subject={"serviceAccountNames": [f"account-{i:04}" for i in range(count)]}).view(PARTY),
                created=created,
            )
            for name, created, count in bound
        ]
        (found,) = PARTY.limits(trust().view, views, ISSUER)
        made = PARTY.access(trust().view, views, ISSUER)
        assert found.used == policy.policy_size(made, made.roles[0]), "as it would be rendered"
        assert (found.of, found.most) == (role("payments-reader"), 2048)
        assert bool(found.over) is (found.used > 2048)
        assert bool(list(found.findings("spec.allow"))) is (found.used > 2048)
        return found

    for count in (1, 2, 10, 44, 45):
        limit(("s3", "2026-01-01T00:00:00Z", count))
    older, newer = ("z-older", "2026-01-01T00:00:00Z", 20), ("a-newer", "2026-01-02T00:00:00Z", 60)
    assert limit(newer, older).over == "payments/a-newer", "the one that came last goes over"
    assert limit(("b", "", 20), ("a", "", 60)).over == "payments/a"
    (finding,) = limit(newer, older).findings("spec.allow")
    assert (finding.rule.id, finding.path) == ("AWS201", "spec.allow")
    assert "WorkloadBinding payments/a-newer" in str(finding)


@pytest.mark.parametrize(
    ("value", "rules"),
    [
        ("sts.amazonaws.com", ["APO107"]),
        ("https://vault.example", []),
        ("vault-readers", []),
        ("https://api.example", []),
        ("https://sts.amazonaws.com.example", []),
    ],
)
def test_common_audiences(value: str, rules: list[str]) -> None:
    assert [finding.rule.id for finding in audience(value, "spec.audience")] == rules


@pytest.mark.parametrize(
    ("arn", "rules"),
    [
        (role("payments-reader"), []),
        (role("team/a/payments-reader"), []),
        (role("a_+=,.@-"), []),
        (role("a" * 64), []),
        (role("a" * 65), ["AWS101"]),
        (role(""), ["AWS101"]),
        (role("a b"), ["AWS101"]),
        (role("*"), ["AWS101"]),
        (role("rôle"), ["AWS101"]),
        (role("a") + "\n", ["AWS101"]),
        ("arn:aws:iam::12345678901:role/a", ["AWS101"]),
        ("arn:aws:iam::123456789012:root", ["AWS101"]),
        ("arn:aws:sts::123456789012:assumed-role/a/b", ["AWS101"]),
        ("arn:aws-iso:iam::123456789012:role/a", ["AWS101"]),
        (role("p" * 510 + "/a"), []),
        (role("p" * 511 + "/a"), ["AWS101"]),
        (role("a", "999999999999"), ["AWS102"]),
        (role("a", partition="aws-cn"), ["AWS102"]),
    ],
)
def test_targets(arn: str, rules: list[str]) -> None:
    assert [finding.rule.id for finding in PARTY.check_target_id(trust().view, arn, "p")] == rules


@pytest.mark.parametrize(
    ("region", "partition", "endpoint"),
    [
        ("eu-west-1", "aws", "https://sts.eu-west-1.amazonaws.com/"),
        ("cn-north-1", "aws-cn", "https://sts.cn-north-1.amazonaws.com.cn/"),
        ("us-gov-west-1", "aws-us-gov", "https://sts.us-gov-west-1.amazonaws.com/"),
        ("us-east-1", "aws", "https://sts.us-east-1.amazonaws.com/"),
    ],
)
def test_partitions(region: str, partition: str, endpoint: str) -> None:
    settings = AWSTrust("123456789012", region)
    assert (settings.partition, settings.sts) == (partition, endpoint)
    view = TrustView("t", "a", settings, 3600, 3600)
    assert list(PARTY.check_target_id(view, role("a", partition=partition), "p")) == []


def test_what_an_sdk_gets() -> None:
    made = pod_plan(trust(), binding("s3"))
    assert made.frozen.environment == {
        "AWS_ROLE_ARN": role("payments-reader"),
        "AWS_WEB_IDENTITY_TOKEN_FILE": "/var/run/secrets/apostille.dev/s3/token",
        "AWS_ROLE_SESSION_NAME": "payments.s3",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
    }
    assert (made.frozen.delivery, made.frozen.admission, made.live.recipe) == ("SDK", None, None)


def test_the_recipe_of_the_sidecar() -> None:
    made = pod_plan(trust(ceilings={"sessionSeconds": 1800}), sidecar("files"))
    admission, recipe = made.frozen.admission, made.live.recipe
    assert admission is not None
    assert recipe is not None
    assert (admission.grant, admission.endpoint) == ("AWSWebIdentity", "https://sts.eu-west-1.amazonaws.com/")
    assert (admission.audience, admission.session_seconds) == (AUDIENCE, 1800)
    assert admission.token == "/var/run/secrets/apostille.dev/files/token"
    assert [(o.path, o.format) for o in admission.outputs] == [
        ("/var/run/apostille.dev/files/credentials", "aws-credentials")
    ]
    assert recipe.parameters == {"roleARN": role("payments-reader"), "roleSessionName": "payments.files"}
    assert (recipe.session_seconds, recipe.ended) == (1800, False)
    assert made.frozen.environment["AWS_SHARED_CREDENTIALS_FILE"] == "/var/run/apostille.dev/files/credentials"
    assert "AWS_ROLE_ARN" not in made.frozen.environment, "an SDK would exchange for itself, without an assertion"


def test_session_names_fit() -> None:
    longest = sidecar("b" * 40, namespace="n" * 63)
    recipe = pod_plan(trust(allow=[allow("n" * 63)]), longest).live.recipe
    assert recipe is not None
    assert len(recipe.parameters["roleSessionName"]) == 64


def views(*arns: str) -> list[BindingView]:
    """One binding of a service account of its own to each role."""
    names = "abcdefgh"[: len(arns)]
    return [
        binding(name, target={"aws": {"roleARN": arn}}, subject={"serviceAccountNames": [name]}).view(PARTY)
        for name, arn in zip(names, arns, strict=True)
    ]


@pytest.mark.parametrize("other", ["b/reader", "Reader"])
def test_roles_that_iam_cannot_hold_at_once_are_told_and_do_not_hide_each_other(other: str) -> None:
    """Names are unique in an account whatever their path and case (CreateRole)."""
    bound = views(role("a/reader"), role(other))
    rendered = "".join(PARTY.render(PARTY.access(trust().view, bound, ISSUER), "native").values())
    assert all(subject in rendered for view in bound for subject in view.subjects)
    (finding,) = PARTY.findings(trust().view, bound, ISSUER)
    assert (finding.rule.id, finding.refuses) == ("AWS204", True)
    assert role("a/reader") in finding.message
    assert role(other) in finding.message
    assert list(PARTY.findings(trust().view, views(role("a/reader"), role("a/writer")), ISSUER)) == []


def path_and_name(arn: str) -> str:
    return arn.partition(":role")[2]


@examples(100)
@given(st.lists(st.from_regex(ROLE_ARN, fullmatch=True), max_size=6, unique_by=path_and_name))
def test_file_names_are_keys_that_a_config_map_takes_and_every_role_has_its_own(arns: list[str]) -> None:
    for file in (files := [policy.role_file(arn) for arn in arns]):
        assert re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", file, re.ASCII), file
    assert len(set(files)) == len(arns)


def test_ordinary_roles_have_ordinary_file_names() -> None:
    assert policy.role_file(role("payments_reader-1")) == "role-payments_reader-1.json"
    assert policy.role_file(role("team/a/reader")) == "role-team-a-reader.9304152500c3c20c.json"
    assert policy.role_file(role("a+b=c,d@e")).startswith("role-a-b-c-d-e.")


@pytest.mark.parametrize(
    ("url", "rules"),
    [
        ("https://oidc.example.com/cluster-a", []),
        ("https://oidc.example.com/Cluster-A/", []),
        ("https://local.example.com", []),
        ("https://svc-issuer.example", []),
        ("http://oidc.example.com", ["AWS202"]),
        ("https://oidc.example.com:443", ["AWS202"]),
        ("https://user@oidc.example.com", ["AWS202"]),
        ("https://OIDC.example.com", ["AWS202"]),
        ("https://oidc.example.com?a=b", ["AWS202"]),
        ("https://[::1]", ["AWS202"]),
        ("https://kubernetes.default.svc.cluster.local", ["AWS203"]),
        ("https://kubernetes.default.svc", ["AWS203"]),
        ("https://localhost/x", ["AWS203"]),
        ("https://10.0.0.1", ["AWS203"]),
        ("https://issuer.corp.internal", ["AWS203"]),
    ],
)
def test_issuers(url: str, rules: list[str]) -> None:
    found = [finding.rule.id for finding in PARTY.findings(trust().view, [], Issuer(url))]
    assert found == rules
    # What the rules let through, IAM takes; the strict party says so independently.
    document = {"Url": url, "ClientIDList": ["a"]}
    if "AWS202" in rules:
        with pytest.raises(IAMError):
            IAM(ACCOUNT).apply_provider(document)
    else:
        assert IAM(ACCOUNT).apply_provider(document).url == url


def test_a_subject_has_to_fit() -> None:
    fits = "n" * (255 - len("system:serviceaccount:payments:"))
    for name, rules in ((fits, []), (fits + "n", ["AWS205"])):
        wide = trust(allow=[allow(accounts=[name])])
        assert [f.rule.id for f in judge_trust(wide, (), CONTEXT)] == rules
        bound = binding(subject={"serviceAccountNames": [name]})
        assert [(f.rule.id, f.path) for f in judge_binding(bound, wide, CONTEXT)] == [
            (rule, "spec.subject.serviceAccountNames[0]") for rule in rules
        ]


def test_the_schema_takes_regions_of_the_partitions_that_are_served_and_no_others() -> None:
    """By the vendor's own table."""
    table = json.loads((Path(botocore.__file__).parent / "data" / "partitions.json").read_text())["partitions"]
    for partition in table:
        for region in [name for name in partition["regions"] if "global" not in name]:
            raw = raw_trust(relyingParty={"type": "AWS", "aws": {"accountID": ACCOUNT, "region": region}})
            if partition["id"] not in ("aws", "aws-cn", "aws-us-gov"):
                with pytest.raises(decode.InvalidObject, match="region"):
                    decode.federation_trust(raw)
                continue
            settings = decode.federation_trust(raw).view.settings
            assert settings.partition == partition["id"], region
            assert settings.sts == f"https://sts.{region}.{partition['outputs']['dnsSuffix']}/"


@pytest.mark.parametrize("region", ["eu-wset-1", "europe-west1", "EU-WEST-1", "eu-west", "xx-west-1", "eu-west-1a", ""])
def test_what_is_no_region_is_refused_by_name(region: str) -> None:
    raw = raw_trust(relyingParty={"type": "AWS", "aws": {"accountID": ACCOUNT, "region": region}})
    with pytest.raises(decode.InvalidObject, match=r"spec\.relyingParty\.aws\.region"):
        decode.federation_trust(raw)


def test_the_arns_groups() -> None:
    match = ROLE_ARN.fullmatch(role("team/a/reader"))
    assert match is not None
    assert (match["path"], match["name"]) == ("/team/a/", "reader")
