"""AWS's documents as a whole: whatever lets a stranger in breaks a rule, and what is ours breaks none."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from apostille.parties.aws import evaluate, foreign, policy
from builders import AUDIENCE, ISSUER, binding, role, trust
from properties import examples
from rules.aws_cases import AUD, HOST, OURS, READER, SUB

STRANGERS = ("system:serviceaccount:q7f3k:x1z9", "system:serviceaccount:kube-system:default", "repo:o/r:ref:main")
ARN = f"arn:aws:iam::123456789012:oidc-provider/{HOST}"
OTHER_ARN = "arn:aws:iam::123456789012:oidc-provider/other.example"

operators = st.builds(
    lambda quantifier, base, suffix: quantifier + base + suffix,
    st.sampled_from(["", "ForAllValues:", "ForAnyValue:"]),
    st.sampled_from(["StringEquals", "StringLike", "StringEqualsIgnoreCase", "StringNotEquals", "StringNotLike"]),
    st.sampled_from(["", "IfExists"]),
)
keys = st.sampled_from([AUD, SUB, SUB.upper(), f"https://{HOST}:sub", f"{HOST}/:aud", "other.example:sub"])
values = st.sampled_from(
    [AUDIENCE, "https://*", "*", READER, "system:serviceaccount:payments:*", "system:serviceaccount:*", "repo:*", "?*"]
)
conditions = st.dictionaries(
    operators, st.dictionaries(keys, st.one_of(values, st.lists(values, max_size=2)), max_size=2), max_size=3
)
statements = st.fixed_dictionaries(
    {"Effect": st.sampled_from(["Allow", "Allow", "Deny"]), "Condition": conditions},
    optional={
        "Principal": st.sampled_from(["*", {"Federated": ARN}, {"Federated": [ARN, OTHER_ARN]}, {"AWS": "*"}]),
        "NotPrincipal": st.just({"Federated": OTHER_ARN}),
        "Action": st.sampled_from(["sts:AssumeRoleWithWebIdentity", "sts:*", ["STS:assumerolewithwebidentity"]]),
        "NotAction": st.just("sts:TagSession"),
    },
)


@examples(300)
@given(st.lists(statements, min_size=1, max_size=3))
def test_whatever_lets_a_stranger_in_is_refused(generated: list[dict[str, Any]]) -> None:
    document = {"Version": "2012-10-17", "Statement": generated}
    reader = policy.Role(role("payments-reader"), (), 3600, document)
    access = policy.AWSAccess("aws", "123456789012", ISSUER.url, AUDIENCE, (reader,))

    refused = [finding for finding in foreign.documents(access) if finding.refuses]

    for subject in STRANGERS:
        for audience in (AUDIENCE, "https://another.example"):
            claims = {"iss": ISSUER.url, "aud": audience, "sub": subject}
            if evaluate.allows(document, access.provider_arn, claims):
                assert refused, (subject, audience)


def test_what_is_ours_breaks_no_rule() -> None:
    assert list(OURS()) == []
    party = trust().party
    many = [binding(f"b{i}", target={"aws": {"roleARN": role(f"r{i % 3}")}}).view(party) for i in range(9)]
    assert list(foreign.documents(party.access(trust().view, many, ISSUER))) == []  # type: ignore[arg-type]


def test_every_finding_names_a_file_and_a_field_in_it() -> None:
    broad = {"Effect": "Allow", "Principal": "*", "Action": "*"}
    files = policy.render(policy.AWSAccess("aws", "123456789012", ISSUER.url, AUDIENCE, (
        policy.Role(role("payments-reader"), (), 3600),
    )))  # fmt: skip
    name = "role-payments-reader.json"
    files[name] = json.dumps(json.loads(files[name]) | {"AssumeRolePolicyDocument": {"Statement": [broad]}})
    files[name] = files[name].replace('"Principal": "*"', f'"Principal": {{"Federated": ["*", "{ARN}"]}}')

    paths = {finding.rule.slug: finding.path for finding in foreign.documents(policy.parse(files))}

    assert paths == {
        "AWS-ACTION-STAR": f"{name}:AssumeRolePolicyDocument.Statement[0].Action",
        "AWS-PRINCIPAL-STAR": f"{name}:AssumeRolePolicyDocument.Statement[0].Principal",
        "AWS-NO-AUD": f"{name}:AssumeRolePolicyDocument.Statement[0].Condition",
        "AWS-NO-SUB": f"{name}:AssumeRolePolicyDocument.Statement[0].Condition",
        "AWS-CLIENTID-UNUSED": "oidc-provider.json:ClientIDList[0]",
    }
