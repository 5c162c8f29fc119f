"""AWS as a party: documents, limits, what containers and sidecar are given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apostille.core.pod_plan import pod_plan
from apostille.parties.aws import policy
from apostille.parties.aws.party import AWS
from apostille.parties.aws.rules import audience
from apostille.parties.aws.settings import ROLE_ARN, AWSTrust
from apostille.parties.party import TrustView
from builders import AUDIENCE, ISSUER, allow, binding, role, sidecar, trust

PARTY = AWS()


def access(*bindings: Any, **spec: Any) -> policy.AWSAccess:
    return PARTY.access(trust(**spec).view, [one.view(PARTY) for one in bindings], ISSUER)


def test_the_rendered_documents() -> None:
    files = PARTY.render(access(binding(), binding("b", "orders")), "native")
    assert list(files) == ["oidc-provider.json", "role-payments-reader.json"]
    assert json.loads(files["oidc-provider.json"]) == {"Url": ISSUER.url, "ClientIDList": [AUDIENCE]}
    document = json.loads(files["role-payments-reader.json"])
    (statement,) = document["AssumeRolePolicyDocument"]["Statement"]
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


@pytest.mark.parametrize(
    ("files", "match"),
    [
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
    def rules(count: int) -> list[str]:
        names = [f"service-account-{i:04}" for i in range(count)]
        view = binding(subject={"serviceAccountNames": names[:64]}).view(PARTY)
        return [finding.rule.id for finding in PARTY.findings(trust().view, [view], ISSUER)]

    assert rules(10) == []
    assert rules(60) == ["AWS201"]
    fits = policy.AWSAccess("aws", "1" * 12, "https://i", "a", (policy.Role(role("r"), ("",), 3600),))
    spare = policy.MAX_POLICY - policy.policy_size(fits, fits.roles[0])
    for extra, over in ((spare, False), (spare + 1, True)):
        exact = policy.Role(role("r"), ("s" * extra,), 3600)
        assert (policy.policy_size(fits, exact) > policy.MAX_POLICY) is over


@pytest.mark.parametrize(
    ("value", "rules"),
    [
        ("api://AzureADTokenExchange", ["APO105"]),
        ("API://x", ["APO105"]),
        ("//iam.googleapis.com/projects/1/locations/global", ["APO105"]),
        ("https://iam.googleapis.com/projects/1", ["APO105"]),
        ("sts.googleapis.com", ["APO105"]),
        ("snowflakecomputing.com", ["APO105"]),
        ("vault", ["APO105"]),
        ("sts.amazonaws.com", ["APO107"]),
        ("https://vault.example", []),
        ("vault-readers", []),
        ("https://api.example", []),
        ("https://sts.amazonaws.com.example", []),
    ],
)
def test_foreign_and_common_audiences(value: str, rules: list[str]) -> None:
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


def test_roles_that_differ_only_in_their_path_do_not_hide_each_other() -> None:
    """Names are unique in an account whatever their path, so IAM could not hold both (CreateRole)."""
    one, other = (
        binding(name, target={"aws": {"roleARN": role(f"{name}/reader")}}, subject={"serviceAccountNames": [name]})
        for name in "ab"
    )
    views = [one.view(PARTY), other.view(PARTY)]
    rendered = "".join(PARTY.render(PARTY.access(trust().view, views, ISSUER), "native").values())
    told = [finding for finding in PARTY.findings(trust().view, views, ISSUER) if finding.refuses]
    assert told or all(subject in rendered for view in views for subject in view.subjects)


def test_file_names_are_keys_that_a_config_map_takes() -> None:
    special = binding(target={"aws": {"roleARN": role("a+b=c,d@e")}})
    for name in PARTY.render(access(special), "native"):
        assert all(c.isascii() and (c.isalnum() or c in "-_.") for c in name), name


def test_the_arns_groups() -> None:
    match = ROLE_ARN.fullmatch(role("team/a/reader"))
    assert match is not None
    assert (match["path"], match["name"]) == ("/team/a/", "reader")
