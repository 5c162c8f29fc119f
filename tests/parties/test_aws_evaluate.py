"""AWS's judgement of trust policies, against the executed vectors of the reference (cloud-trust §21)."""

from __future__ import annotations

from typing import Any

import pytest

from apostille.parties.aws.evaluate import allows
from apostille.parties.aws.party import AWS
from builders import ISSUER, binding, role, trust

PROVIDER = "arn:aws:iam::123456789012:oidc-provider/oidc.example.com/cluster-a"
H = "oidc.example.com/cluster-a"
READER = "system:serviceaccount:payments:reader"
AUD = "sts.amazonaws.com"
GOOD = {"sub": READER, "aud": [AUD]}
OTHER = {"sub": "system:serviceaccount:evil:x", "aud": [AUD]}
WRONG = {"sub": READER, "aud": ["other"]}
STRANGERS = (
    OTHER,
    WRONG,
    {"sub": "system:serviceaccount:payments:reader2", "aud": [AUD]},
    {"aud": [AUD]},
    {"sub": READER},
)


def policy(condition: Any, **changed: Any) -> dict[str, Any]:
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": PROVIDER},
        "Action": "sts:AssumeRoleWithWebIdentity",
    } | changed
    return {"Version": "2012-10-17", "Statement": [statement | ({"Condition": condition} if condition else {})]}


def like(pattern: str) -> dict[str, Any]:
    return {"StringEquals": {f"{H}:aud": AUD}, "StringLike": {f"{H}:sub": pattern}}


def exact(prefix: str = H, sub: Any = READER) -> dict[str, Any]:
    return {"StringEquals": {f"{prefix}:aud": AUD, f"{prefix}:sub": sub}}


VECTORS = {
    "exact": (exact(), "allow deny deny"),
    "no condition": ({}, "allow allow allow"),
    "aud only": ({"StringEquals": {f"{H}:aud": AUD}}, "allow allow deny"),
    "sub only": ({"StringEquals": {f"{H}:sub": READER}}, "allow deny allow"),
    "StringLike ns:*": (like("system:serviceaccount:payments:*"), "allow deny deny"),
    "StringLike sa:*": (like("system:serviceaccount:*"), "allow allow deny"),
    "StringLike pay*:reader": (like("system:serviceaccount:pay*:reader"), "allow deny deny"),
    "StringLike payments:read*": (like("system:serviceaccount:payments:read*"), "allow deny deny"),
    "StringEquals with literal *": (exact(sub="system:serviceaccount:payments:*"), "deny deny deny"),
    "ForAllValues sub": (
        {"StringEquals": {f"{H}:aud": AUD}, "ForAllValues:StringEquals": {f"{H}:sub": READER}}, "allow deny deny"),
    "IfExists wrong prefix": (
        {"StringEquals": {f"{H}:aud": AUD}, "StringEqualsIfExists": {f"https://{H}:sub": READER}}, "allow allow deny"),
    "scheme in key": (
        {"StringEquals": {f"{H}:aud": AUD, f"https://{H}:sub": READER}}, "deny deny deny"),
    "trailing slash key": ({"StringEquals": {f"{H}:aud": AUD, f"{H}/:sub": READER}}, "deny deny deny"),
    "StringNotEquals sub": (
        {"StringEquals": {f"{H}:aud": AUD}, "StringNotEquals": {f"{H}:sub": "system:serviceaccount:a:b"}},
        "allow allow deny"),
    "default SA": (exact(sub="system:serviceaccount:payments:default"), "deny deny deny"),
    "aud StringLike *": (
        {"StringEquals": {f"{H}:sub": READER}, "StringLike": {f"{H}:aud": "*"}}, "allow deny allow"),
    "two subs list": (exact(sub=[READER, "system:serviceaccount:payments:writer"]), "allow deny deny"),
}  # fmt: skip


@pytest.mark.parametrize("case", VECTORS)
def test_the_references_vectors(case: str) -> None:
    condition, expected = VECTORS[case]
    got = ["allow" if allows(policy(condition), PROVIDER, claims) else "deny" for claims in (GOOD, OTHER, WRONG)]
    assert " ".join(got) == expected


@pytest.mark.parametrize(
    ("condition", "changed", "expected"),
    [
        (exact(), {"Action": ["sts:TagSession", "sts:AssumeRoleWithWebIdentity"]}, True),
        (exact(), {"Action": "STS:assumerolewithwebidentity"}, True),
        (exact(), {"Action": "sts:AssumeRole*"}, True),
        (exact(), {"Action": "sts:AssumeRole"}, False),
        (exact(), {"Principal": "*"}, True),
        (exact(), {"Principal": {"Federated": [PROVIDER, "arn:x"]}}, True),
        (exact(), {"Principal": {"Federated": PROVIDER + "/"}}, False),
        (exact(), {"Principal": {"AWS": "*"}}, False),
        (exact(), {"Effect": "Deny"}, False),
        ({"StringEquals": {f"{H.upper()}:AUD": AUD, f"{H}:Sub": READER}}, {}, True),
        ({"StringEquals": {f"{H}:sub": READER.upper()}}, {}, False),
        ({"StringEqualsIgnoreCase": {f"{H}:sub": READER.upper()}}, {}, True),
        ({"Null": {f"{H}:sub": "false"}}, {}, True),
        ({"Null": {f"{H}:sub": "true"}}, {}, False),
        ({"Null": {f"{H}:amr": "true"}}, {}, True),
        ({"ForAnyValue:StringEquals": {f"{H}:aud": [AUD, "x"]}}, {}, True),
        ({"StringLike": {f"{H}:sub": "system:serviceaccount:payments:reade?"}}, {}, True),
        ({"StringLike": {f"{H}:sub": "system:serviceaccount:payments:reader?"}}, {}, False),
    ],
)  # fmt: skip
def test_elements_and_operators(condition: dict[str, Any], changed: dict[str, Any], expected: bool) -> None:
    assert allows(policy(condition, **changed), PROVIDER, GOOD) is expected


def test_a_deny_wins_wherever_it_stands() -> None:
    allow, deny = policy(exact())["Statement"][0], policy({}, Effect="Deny")["Statement"][0]
    for statements in ([allow, deny], [deny, allow]):
        assert not allows({"Statement": statements}, PROVIDER, GOOD)


def test_several_audiences_in_one_token() -> None:
    both = {"sub": READER, "aud": [AUD, "other"]}
    assert allows(policy(exact()), PROVIDER, both)
    assert not allows(policy({"StringNotEquals": {f"{H}:aud": "other"}}), PROVIDER, both)
    assert not allows(policy({"ForAllValues:StringEquals": {f"{H}:aud": AUD}}), PROVIDER, both)


def test_an_unknown_operator_is_an_error_not_a_guess() -> None:
    with pytest.raises(ValueError, match="NumericEquals"):
        allows(policy({"NumericEquals": {f"{H}:sub": "1"}}), PROVIDER, GOOD)


def test_what_is_rendered_lets_in_the_bound_identity_and_no_stranger() -> None:
    party, by = AWS(), trust(audience=AUD)
    access = party.access(by.view, [binding().view(party)], ISSUER)
    target = role("payments-reader")
    issued = {"iss": ISSUER.url}
    assert party.evaluate(access, GOOD | issued, target).allowed
    for stranger in STRANGERS:
        assert not party.evaluate(access, stranger | issued, target).allowed, stranger
    read_back = party.parse(party.render(access, "native"))
    assert party.evaluate(read_back, GOOD | issued, target).allowed
    assert [party.evaluate(access, claims, arn).reason for claims, arn in (
        (GOOD, target), (WRONG | issued, target), (GOOD | issued, role("x")), (OTHER | issued, target))
    ] == ["IssuerUnknown", "AudienceMismatch", "TargetMissing", "SubjectMismatch"]  # fmt: skip
