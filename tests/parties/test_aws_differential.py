"""Our evaluator of AWS trust policies against the strict STS, which shares no code with it.

Two ways to the same answer: the policy alone, over policies that nobody would write; and the whole exchange with signed
tokens, over what is rendered from declarations.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from apostille.model.identity import Issuer
from apostille.parties.aws.evaluate import allows
from apostille.parties.aws.party import AWS
from apostille_testbed.parties.aws.documents import IAMError, trust_policy
from apostille_testbed.parties.aws.policy import UnsupportedOperator, permits
from builders import binding, role, trust
from properties import examples
from testbed.strict_sts_world import HOST, ISSUER, PROVIDER_ARN, World, assume, world

OTHER_ARN = "arn:aws:iam::123456789012:oidc-provider/other.example"
AUDIENCES = ["sts.amazonaws.com", "https://aws-prod.sts.example", "other"]
SUBJECTS = [f"system:serviceaccount:{name}" for name in ("payments:reader", "payments:reader2", "pay:reader", "evil:x")]
SESSION = "payments.s3-reader"


def spoiled(values: list[str]) -> st.SearchStrategy[str]:
    """A value, or what people make of it: a pattern, another case, a piece."""
    changes = st.sampled_from(
        [
            lambda text: text,
            lambda text: text[:-1] + "*",
            lambda text: text.replace("payments", "*"),
            lambda text: text[:-1] + "?",
            lambda text: "*" + text[3:],
            lambda text: text.upper(),
            lambda text: text + "?",
            lambda text: "*",
            lambda text: re.sub("[aeiou]", "?", text),
        ]
    )
    return st.builds(lambda change, text: change(text), changes, st.sampled_from(values))


def one_or_more(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(values, st.lists(values, min_size=1, max_size=3))


keys = st.sampled_from(
    [f"{HOST}:sub", f"{HOST}:sub", f"{HOST}:aud", f"{HOST}:aud", f"{HOST}:amr", f"{HOST.upper()}:SUB", f"{HOST}/:sub",
     f"https://{HOST}:sub", "other.example:sub", "sts:RoleSessionName"]
)  # fmt: skip
wanted = one_or_more(
    st.one_of(
        spoiled(SUBJECTS + AUDIENCES + [SESSION]),
        st.text(string.ascii_letters + "*?[]().+^\\|{}", max_size=6),
        st.sampled_from([True, False, 1, "true", "TRUE"]),
    )
)
operators = st.builds(
    lambda quantifier, operator, suffix: quantifier + operator + suffix,
    st.sampled_from(["", "", "", "ForAllValues:", "ForAnyValue:", "ForSome:"]),
    st.sampled_from(
        ["StringEquals", "StringEquals", "StringLike", "StringLike", "StringEqualsIgnoreCase", "StringNotEquals",
         "StringNotEqualsIgnoreCase", "StringNotLike", "Null", "Bool", "NumericEquals", "stringequals"]
    ),
    st.sampled_from(["", "", "", "IfExists"]),
)  # fmt: skip
conditions = st.dictionaries(operators, st.dictionaries(keys, wanted, min_size=1, max_size=3), max_size=2)
principals = st.one_of(
    st.just({"Federated": PROVIDER_ARN}),
    st.just({"Federated": PROVIDER_ARN}),
    st.sampled_from(
        ["*", {"Federated": "*"}, {"Federated": [OTHER_ARN, PROVIDER_ARN]}, {"Federated": OTHER_ARN}, {"AWS": "*"},
         {"AWS": PROVIDER_ARN}, {"Federated": PROVIDER_ARN + "/"}, {"AWS": "*", "Federated": PROVIDER_ARN}]
    ),
)  # fmt: skip
actions = one_or_more(
    st.sampled_from(
        ["sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithWebIdentity", "STS:assumerolewithwebidentity", "sts:*",
         "sts:AssumeRole", "sts:AssumeRole*", "sts:AssumeRoleWith???Identity", "sts:TagSession"]
    )
)  # fmt: skip


@st.composite
def statements(draw: st.DrawFn) -> dict[str, Any]:
    made: dict[str, Any] = {"Effect": draw(st.sampled_from(["Allow", "Allow", "Allow", "Deny"]))}
    negated = made["Effect"] == "Deny" and draw(st.booleans())
    made["NotPrincipal" if negated else "Principal"] = draw(principals)
    made["NotAction" if draw(st.integers(0, 7)) == 0 else "Action"] = draw(actions)
    if condition := draw(conditions):
        made["Condition"] = condition
    return made


policies = st.builds(
    lambda version, made: {"Version": version, "Statement": made},
    st.sampled_from(["2012-10-17", "2012-10-17", "2008-10-17"]),
    st.one_of(statements(), st.lists(statements(), min_size=1, max_size=3)),
)
claims = st.fixed_dictionaries(
    {},
    optional={
        "sub": st.sampled_from(SUBJECTS),
        "aud": st.one_of(st.sampled_from(AUDIENCES), st.lists(st.sampled_from(AUDIENCES), max_size=3)),
        "amr": st.lists(st.sampled_from(["x", "authenticated"]), max_size=2),
        "kubernetes.io": st.just({"namespace": "payments"}),
    },
)


def ours(policy: Mapping[str, Any], presented: Mapping[str, Any]) -> bool | str:
    try:
        return allows(policy, PROVIDER_ARN, presented, {"sts:RoleSessionName": [SESSION]})
    except ValueError:
        return "no verdict"


def theirs(policy: Mapping[str, Any], presented: Mapping[str, Any]) -> bool | str:
    try:
        return permits(policy, PROVIDER_ARN, presented, {"sts:RoleSessionName": [SESSION]})
    except UnsupportedOperator:
        return "no verdict"


@examples(500)
@given(policies, claims)
def test_policies(policy: dict[str, Any], presented: dict[str, Any]) -> None:
    verdict = ours(policy, presented)
    event(str(verdict))
    assert verdict == theirs(policy, presented)


@examples(150)
@given(policies, claims)
def test_what_iam_holds_has_a_verdict(policy: dict[str, Any], presented: Any) -> None:
    try:
        trust_policy(policy)
    except IAMError as refused:
        event(refused.code)
        return
    assert ours(policy, presented) in (True, False)


@pytest.mark.parametrize("operator", ["StringEquals", "StringNotEquals", "StringLike", "StringNotLike"])
@pytest.mark.parametrize("suffix", ["", "IfExists"])
def test_for_any_value_is_false_without_values(operator: str, suffix: str) -> None:
    """IAM user guide, "Set operators for multivalued context keys": for no matching key the condition returns false.

    ``…IfExists`` changes nothing in that, as seen on AWS itself (https://repost.aws/questions/QU9HFmDzP0QGuU-fd7rS6B7w).
    """
    condition = {f"ForAnyValue:{operator}{suffix}": {f"{HOST}:amr": "x"}}
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sts:*", "Condition": condition}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    assert ours(policy, {"sub": SUBJECTS[0]}) is False
    assert theirs(policy, {"sub": SUBJECTS[0]}) is False


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("sts")) as running:
        yield running


PARTY = AWS()
REASONS = {
    "": ("OK", ""),
    "IssuerUnknown": ("InvalidIdentityToken", "No OpenIDConnect provider found"),
    "AudienceMismatch": ("InvalidIdentityToken", "Incorrect token audience"),
    "TargetMissing": ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
    "SubjectMismatch": ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
}
ROLES = [role("payments-reader"), role("team/a/reader"), role("reader"), role("Payments-Reader")]
accounts = st.sampled_from(["reader", "reader2", "writer"])
bindings = st.lists(
    st.builds(
        lambda name, namespace, names, arn: binding(
            name, namespace, subject={"serviceAccountNames": names}, target={"aws": {"roleARN": arn}}
        ),
        st.sampled_from(["a", "b", "c", "d"]), st.sampled_from(["payments", "pay"]),
        st.lists(accounts, min_size=1, max_size=3, unique=True), st.sampled_from(ROLES[:3]),
    ),
    min_size=1, max_size=4, unique_by=lambda made: (made.namespace, made.name),
)  # fmt: skip
OWN = "the trust's"
requests = st.tuples(
    st.sampled_from(
        [f"system:serviceaccount:{name}" for name in ("payments:reader", "pay:writer", "payments:reader2")]
    ),
    st.sampled_from([OWN] * 6 + ["other", [OWN, "other"], ["other", OWN], [OWN], ["other"], OWN + "/"]),
    st.sampled_from([ISSUER] * 8 + [ISSUER + "/", "https://other.example"]),
    st.sampled_from(ROLES),
)


@examples(60)
@given(bindings=bindings, audience=st.sampled_from(AUDIENCES[:2]), asked=st.lists(requests, min_size=3, max_size=6))
def test_exchanges(strict: World, bindings: list[Any], audience: str, asked: list[Any]) -> None:
    """Who gets in by what we render is who we say, and who is declared: the same verdict, with the vendor's error."""
    by = trust(audience=audience)
    views = [made.view(PARTY) for made in bindings]
    access = PARTY.access(by.view, views, Issuer(ISSUER))
    rendered = PARTY.render(access, "native")
    if any(finding.refuses for finding in PARTY.findings(by.view, views, Issuer(ISSUER))):
        event("IAM cannot hold it")
        return
    strict.aws.iam.remove_provider(ISSUER)
    for known in strict.aws.iam.roles:
        strict.aws.iam.remove_role(known.name)
    strict.aws.iam.load_files(rendered)
    for subject, of_trust, issuer, arn in asked:
        receivers = [one.replace(OWN, audience) for one in ([of_trust] if isinstance(of_trust, str) else of_trust)]
        presented = {"iss": issuer, "sub": subject, "aud": receivers}
        verdict = PARTY.evaluate(access, presented, arn)
        assert PARTY.evaluate(PARTY.parse(rendered), presented, arn) == verdict
        event(verdict.reason or "in")
        answer = assume(strict.aws, strict.token(subject, receivers, iss=issuer), RoleArn=arn)
        code, message = REASONS[verdict.reason]
        assert answer.code == code, answer.text
        assert code == "OK" or message in answer.message
        declared = {(account, view.target.role_arn) for view in views for account in view.subjects}
        assert verdict.allowed == (issuer == ISSUER and audience in receivers and (subject, arn) in declared)
