"""Trust policies and IAM documents of the strict AWS party (cloud-trust §3.1, §3.2, §21)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from apostille_testbed.parties.aws import IAM, IAMError
from apostille_testbed.parties.aws.policy import UnsupportedOperator, permits
from testbed.strict_sts_world import ACCOUNT, AUDIENCE, ISSUER, ROLE, SUBJECT, provider, role

H = "oidc.example.com/cluster-a"
ARN = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{H}"
GOOD = {"sub": SUBJECT, "aud": ["sts.amazonaws.com"]}
OTHER = {"sub": "system:serviceaccount:evil:x", "aud": ["sts.amazonaws.com"]}
WRONG_AUDIENCE = {"sub": SUBJECT, "aud": ["other"]}

AUD = {f"{H}:aud": "sts.amazonaws.com"}
SUB = {f"{H}:sub": SUBJECT}


def like(pattern: str) -> dict[str, Any]:
    return {"StringEquals": AUD, "StringLike": {f"{H}:sub": pattern}}


def statement(condition: dict[str, Any], **changes: Any) -> dict[str, Any]:
    good = {"Effect": "Allow", "Principal": {"Federated": ARN}, "Action": "sts:AssumeRoleWithWebIdentity"}
    return good | {"Condition": condition} | changes


def document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


@pytest.mark.parametrize(
    ("condition", "good", "other", "wrong_audience"),
    [
        pytest.param({"StringEquals": AUD | SUB}, True, False, False, id="exact"),
        pytest.param({}, True, True, True, id="no condition"),
        pytest.param({"StringEquals": AUD}, True, True, False, id="aud only"),
        pytest.param({"StringEquals": SUB}, True, False, True, id="sub only"),
        pytest.param(like("system:serviceaccount:payments:*"), True, False, False, id="StringLike ns:*"),
        pytest.param(like("system:serviceaccount:*"), True, True, False, id="StringLike sa:*"),
        pytest.param(like("system:serviceaccount:pay*:reader"), True, False, False, id="StringLike pay*:reader"),
        pytest.param(like("system:serviceaccount:payments:read*"), True, False, False, id="StringLike payments:read*"),
        pytest.param(
            {"StringEquals": AUD | {f"{H}:sub": "system:serviceaccount:payments:*"}},
            False,
            False,
            False,
            id="StringEquals with literal *",
        ),
        pytest.param({"StringEquals": AUD, "ForAllValues:StringEquals": SUB}, True, False, False, id="ForAllValues"),
        pytest.param(
            {"StringEquals": AUD, "StringEqualsIfExists": {"other.example:sub": SUBJECT}},
            True,
            True,
            False,
            id="IfExists wrong prefix",
        ),
        pytest.param({"StringEquals": AUD | {f"https://{H}:sub": SUBJECT}}, False, False, False, id="scheme in key"),
        pytest.param({"StringEquals": AUD | {f"{H}/:sub": SUBJECT}}, False, False, False, id="trailing slash key"),
        pytest.param(
            {"StringEquals": AUD, "StringNotEquals": {f"{H}:sub": "system:serviceaccount:evil:y"}},
            True,
            True,
            False,
            id="StringNotEquals sub",
        ),
        pytest.param(
            {"StringEquals": AUD | {f"{H}:sub": "system:serviceaccount:payments:default"}},
            False,
            False,
            False,
            id="default SA",
        ),
        pytest.param({"StringEquals": SUB, "StringLike": {f"{H}:aud": "*"}}, True, False, True, id="aud StringLike *"),
        pytest.param(
            {"StringEquals": AUD | {f"{H}:sub": ["system:serviceaccount:payments:writer", SUBJECT]}},
            True,
            False,
            False,
            id="two subs list",
        ),
    ],
)
def test_the_reference_vectors(condition: dict[str, Any], good: bool, other: bool, wrong_audience: bool) -> None:
    rendered = document(statement(condition))
    assert permits(rendered, ARN, GOOD) is good
    assert permits(rendered, ARN, OTHER) is other
    assert permits(rendered, ARN, WRONG_AUDIENCE) is wrong_audience


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        pytest.param({"StringEquals": {f"{H}:SUB".upper(): SUBJECT}}, True, id="keys ignore case"),
        pytest.param({"StringEquals": {f"{H}:sub": SUBJECT.upper()}}, False, id="values do not"),
        pytest.param({"StringEqualsIgnoreCase": {f"{H}:sub": SUBJECT.upper()}}, True, id="unless asked"),
        pytest.param({"StringNotEqualsIgnoreCase": {f"{H}:sub": SUBJECT.upper()}}, False, id="negated ignore case"),
        pytest.param({"StringLike": {f"{H}:sub": "system:serviceaccount:payments:reade?"}}, True, id="? is one"),
        pytest.param({"StringLike": {f"{H}:sub": "system:serviceaccount:payments:reader?"}}, False, id="? not none"),
        pytest.param({"StringLike": {f"{H}:sub": "system.serviceaccount*"}}, False, id="no regular expressions"),
        pytest.param({"StringNotLike": {f"{H}:sub": "system:*"}}, False, id="StringNotLike"),
        pytest.param({"StringEquals": {f"{H}:amr": "x"}}, False, id="missing key"),
        pytest.param({"StringNotEquals": {f"{H}:amr": "x"}}, True, id="missing key negated"),
        pytest.param({"StringEqualsIfExists": {f"{H}:amr": "x"}}, True, id="missing key IfExists"),
        pytest.param({"ForAllValues:StringEquals": {f"{H}:amr": "x"}}, True, id="missing key ForAllValues"),
        pytest.param({"ForAnyValue:StringEquals": {f"{H}:amr": "x"}}, False, id="missing key ForAnyValue"),
        pytest.param({"ForAnyValue:StringNotEquals": {f"{H}:amr": "x"}}, False, id="missing key ForAnyValue negated"),
        pytest.param(
            {"ForAnyValue:StringEqualsIfExists": {f"{H}:amr": "x"}}, False, id="missing key ForAnyValue IfExists"
        ),
        pytest.param({"Null": {f"{H}:amr": "true"}}, True, id="Null"),
        pytest.param({"Null": {f"{H}:sub": True}}, False, id="Null of a present key"),
        pytest.param({"Null": {f"{H}:sub": "false"}}, True, id="not Null"),
        pytest.param({"StringEquals": {"sts:RoleSessionName": "reader-1"}}, True, id="session name"),
        pytest.param({"StringEquals": {"kubernetes.io": "x"}}, False, id="no other claims"),
    ],
)
def test_operators(condition: dict[str, Any], allowed: bool) -> None:
    request = {"sts:RoleSessionName": ["reader-1"]}
    assert permits(document(statement(condition)), ARN, GOOD, request) is allowed


def test_several_values_need_one_or_all() -> None:
    two = {"sub": SUBJECT, "aud": ["sts.amazonaws.com", "other"]}
    assert permits(document(statement({"StringEquals": AUD})), ARN, two)
    assert not permits(document(statement({"ForAllValues:StringEquals": AUD})), ARN, two)
    assert permits(document(statement({"ForAnyValue:StringNotEquals": AUD})), ARN, two)
    assert not permits(document(statement({"StringNotEquals": AUD})), ARN, two)


def test_statements_are_alternatives_and_deny_wins() -> None:
    no, yes = statement({"StringEquals": {f"{H}:sub": "x"}}), statement({"StringEquals": SUB})
    deny = statement({"StringEquals": AUD}, Effect="Deny")
    assert permits(document(no, yes), ARN, GOOD)
    assert not permits(document(yes, deny), ARN, GOOD)
    assert not permits(document(deny, yes), ARN, GOOD)
    assert permits(document(yes, deny), ARN, WRONG_AUDIENCE)
    assert not permits(document(), ARN, GOOD)


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({"Action": "sts:*"}, True),
        ({"Action": ["sts:TagSession", "STS:assumerolewithwebidentity"]}, True),
        ({"Action": "sts:AssumeRole"}, False),
        ({"Principal": "*"}, True),
        ({"Principal": {"Federated": ["arn:x", ARN]}}, True),
        ({"Principal": {"Federated": ARN + "/"}}, False),
        ({"Principal": {"AWS": ARN}}, False),
    ],
)
def test_action_and_principal(changes: dict[str, Any], allowed: bool) -> None:
    assert permits(document(statement({}, **changes)), ARN, GOOD) is allowed


def test_an_operator_that_cannot_be_judged_is_no_verdict() -> None:
    condition = {"StringEquals": {f"{H}:sub": "nobody"}, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}
    with pytest.raises(UnsupportedOperator):
        permits(document(statement(condition)), ARN, GOOD)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Url": "http://cluster-a.issuer.example"}, "ValidationError"),
        ({"Url": "https://cluster-a.issuer.example:6443"}, "ValidationError"),
        ({"Url": "https://Cluster-A.issuer.example"}, "ValidationError"),
        ({"Url": "https://user@issuer.example"}, "ValidationError"),
        ({"Url": "https://issuer.example/?a=b"}, "InvalidInput"),
        ({"Url": "https://issuer.example/#a"}, "InvalidInput"),
        ({"Url": "https://issuer.example/" + "a" * 240}, "ValidationError"),
        ({"Url": None}, "ValidationError"),
        ({"ClientIDList": [f"a{number}" for number in range(101)]}, "LimitExceeded"),
        ({"ClientIDList": [""]}, "ValidationError"),
        ({"ClientIDList": "sts.amazonaws.com"}, "ValidationError"),
        ({"ThumbprintList": ["abc"]}, "InvalidInput"),
        ({"Issuer": "x"}, "ValidationError"),
    ],
)
def test_iam_refuses_providers(changes: dict[str, Any], code: str) -> None:
    iam = IAM(ACCOUNT)
    with pytest.raises(IAMError) as refused:
        iam.apply_provider(provider(**changes))
    assert refused.value.code == code
    assert iam.providers == ()


_BASE = statement({"StringEquals": AUD | SUB})


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"RoleName": "a b"}, "ValidationError"),
        ({"RoleName": "a" * 65}, "ValidationError"),
        ({"Path": "team"}, "ValidationError"),
        ({"MaxSessionDuration": 900}, "ValidationError"),
        ({"MaxSessionDuration": 43201}, "ValidationError"),
        ({"MaxSessionDuration": True}, "ValidationError"),
        ({"Policies": []}, "ValidationError"),
        ({"AssumeRolePolicyDocument": None}, "MalformedPolicyDocument"),
        ({"AssumeRolePolicyDocument": "{"}, "MalformedPolicyDocument"),
        ({"AssumeRolePolicyDocument": '{"Version":"2012-10-17","Version":"2012-10-17"}'}, "MalformedPolicyDocument"),
        ({"AssumeRolePolicyDocument": {"Statement": [_BASE]}}, "MalformedPolicyDocument"),
        ({"AssumeRolePolicyDocument": document(_BASE | {"Resource": "*"})}, "MalformedPolicyDocument"),
        ({"AssumeRolePolicyDocument": document(_BASE | {"Effect": "allow"})}, "MalformedPolicyDocument"),
        ({"AssumeRolePolicyDocument": document(_BASE | {"Action": "s3:GetObject"})}, "MalformedPolicyDocument"),
        ({"AssumeRolePolicyDocument": document(_BASE | {"Extra": 1})}, "MalformedPolicyDocument"),
        ({"AssumeRolePolicyDocument": document(_BASE | {"Principal": {"Web": "x"}})}, "MalformedPolicyDocument"),
        ({"AssumeRolePolicyDocument": document(statement({"StringSame": SUB}))}, "MalformedPolicyDocument"),
        ({"AssumeRolePolicyDocument": document(statement({"StringEquals": {"a": "${b}"}}))}, "MalformedPolicyDocument"),
        ({"AssumeRolePolicyDocument": document(statement({"StringEquals": {"a": "x" * 2048}}))}, "LimitExceeded"),
        (
            {"AssumeRolePolicyDocument": document({k: v for k, v in _BASE.items() if k != "Principal"})},
            "MalformedPolicyDocument",
        ),
        (
            {
                "AssumeRolePolicyDocument": document(
                    {k: v for k, v in _BASE.items() if k != "Principal"} | {"NotPrincipal": {"Federated": ARN}}
                )
            },
            "MalformedPolicyDocument",
        ),
    ],
)
def test_iam_refuses_roles(changes: dict[str, Any], code: str) -> None:
    iam = IAM(ACCOUNT)
    with pytest.raises(IAMError) as refused:
        iam.apply_role(role(**changes))
    assert refused.value.code == code
    assert iam.roles == ()


def test_white_space_does_not_count_against_the_quota() -> None:
    spread = json.dumps(document(_BASE), indent=2) + "\n" * 3000
    assert IAM(ACCOUNT).apply_role(role(AssumeRolePolicyDocument=spread)).policy == document(_BASE)


def test_applying_again_updates_and_removal_removes() -> None:
    iam = IAM(ACCOUNT)
    iam.apply_provider(provider())
    first = iam.apply_role(json.dumps(role()))
    iam.apply_provider(json.dumps(provider(ClientIDList=["b"])))
    second = iam.apply_role(role(MaxSessionDuration=7200))
    assert [one.client_ids for one in iam.providers] == [("b",)]
    assert second.role_id == first.role_id
    assert [one.max_session_seconds for one in iam.roles] == [7200]
    iam.remove_provider(ISSUER)
    iam.remove_role("Payments-Reader")
    assert (iam.providers, iam.roles) == ((), ())
    assert iam.apply_role(role()).role_id != first.role_id


def test_files_are_the_whole_truth_of_their_source(tmp_path: Path) -> None:
    iam = IAM(ACCOUNT)
    iam.apply_role(role("by-hand"))
    files = {
        "oidc-provider.json": json.dumps(provider()),
        "role-payments-reader.json": json.dumps(role()),
        "main.tf.json": "{}",
    }
    assert iam.load_files(files) == ("oidc-provider.json", "role-payments-reader.json")
    assert iam.role_by_arn(ROLE) is not None
    with pytest.raises(IAMError):
        iam.load_files({"oidc-provider.json": json.dumps(provider(ClientIDList=["b"])), "role-x.json": "{}"})
    assert [one.client_ids for one in iam.providers] == [(AUDIENCE,)]
    (tmp_path / "role-other.json").write_text(json.dumps(role("other")))
    iam.load_directory(tmp_path)
    iam.load_files({})
    assert iam.providers == ()
    assert [one.name for one in iam.roles] == ["by-hand", "other"]
