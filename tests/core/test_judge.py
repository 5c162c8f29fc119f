"""The rules over whole declarations: which field is named, and what the nearest innocent neighbour gets."""

from __future__ import annotations

from typing import Any

import pytest

from apostille.core.judge import Context, judge_binding, judge_trust, shares_audience
from apostille.kinds.federation_trust import FederationTrust
from apostille.model.finding import Finding
from apostille.model.identity import Issuer
from builders import CONTEXT, allow, binding, role, trust

ECHO = "https://other.sts.example"


def told(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.rule.id, finding.path) for finding in findings]


def of_trust(*others: FederationTrust, **spec: Any) -> list[tuple[str, str]]:
    return told(judge_trust(trust(**spec), others, CONTEXT))


def of_binding(by: FederationTrust | None = None, namespace: str = "payments", **spec: Any) -> list[tuple[str, str]]:
    return told(judge_binding(binding(namespace=namespace, **spec), by or trust(), CONTEXT))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"audience": ""}, [("APO101", "spec.audience")]),
        ({"audience": "https://kubernetes.default.svc"}, [("APO102", "spec.audience")]),
        ({"audience": "https://oidc.example.com/cluster-a/"}, [("APO102", "spec.audience")]),
        ({"audience": "https://*"}, [("APO103", "spec.audience")]),
        ({"audience": None}, [("APO107", "spec.audience")]),
        ({"audience": "sts.amazonaws.com"}, [("APO107", "spec.audience")]),
        ({"audience": "https://sts.amazonaws.com"}, []),
        ({"allow": []}, []),
        ({"allow": [allow("kube-system")]}, [("APO203", "spec.allow[0].namespace")]),
        ({"allow": [allow(), allow("apostille-system")]}, [("APO203", "spec.allow[1].namespace")]),
        ({"allow": [allow("*")]}, [("APO201", "spec.allow[0].namespace")]),
        ({"allow": [allow(accounts=["reader", "default"])]}, [("APO202", "spec.allow[0].serviceAccounts[1]")]),
        ({"allow": [allow(accounts=["r*"])]}, [("APO201", "spec.allow[0].serviceAccounts[0]")]),
        ({"allow": [allow(targets=[role("a"), role("b", "999999999999")])]}, [("AWS102", "spec.allow[0].targets[1]")]),
        ({"allow": [allow(targets=[role("a", partition="aws-cn")])]}, [("AWS102", "spec.allow[0].targets[0]")]),
        ({"allow": [allow(targets=["arn:aws:iam::123456789012:user/a"])]}, [("AWS101", "spec.allow[0].targets[0]")]),
        ({"ceilings": {"assertionSeconds": 3600}}, []),
        ({"ceilings": {"assertionSeconds": 7200}}, [("APO302", "spec.ceilings.assertionSeconds")]),
        ({"ceilings": {"assertionSeconds": 3607}}, [("APO303", "spec.ceilings.assertionSeconds")]),
    ],
)  # fmt: skip
def test_trust(spec: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert of_trust(**spec) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://oidc.example.com/cluster-a", []),
        ("http://oidc.example.com", [("AWS202", "spec.issuer")]),
        ("https://oidc.example.com:8443", [("AWS202", "spec.issuer")]),
        ("https://oidc.example.com/a?b=c", [("AWS202", "spec.issuer")]),
        ("https://oidc.example.com/" + "a" * 240, [("AWS202", "spec.issuer")]),
    ],
)
def test_issuer(url: str, expected: list[tuple[str, str]]) -> None:
    assert told(judge_trust(trust(), (), Context(Issuer(url), "apostille-system"))) == expected


def test_rules_that_need_the_issuer_wait_for_it() -> None:
    unknown = Context(None, "apostille-system")
    assert told(judge_trust(trust(audience="https://oidc.example.com/cluster-a"), (), unknown)) == []


def test_a_shared_audience_needs_the_word_of_both() -> None:
    alone = trust("b", allow=[allow(accounts=["writer"])])
    plain, agreed = trust("b"), trust("b", sharedAudience=True)
    refused = [("APO106", "spec.audience")]
    assert of_trust(plain) == refused
    assert of_trust(agreed) == refused
    assert of_trust(plain, sharedAudience=True) == refused
    assert of_trust(agreed, sharedAudience=True) == []
    assert of_trust(alone) == [], "no service account in common"
    assert of_trust(trust("b", audience=ECHO)) == [], "no audience in common"
    assert of_trust(trust("aws-prod")) == [], "an older version of itself"


def test_who_keeps_whose_tokens_alive_is_reported() -> None:
    mine = trust(sharedAudience=True)
    assert shares_audience(mine, [mine, trust("b", sharedAudience=True), trust("c", audience=ECHO)]) == ["b"]


WIDE = trust(
    ceilings={"assertionSeconds": 86400},
    allow=[
        allow(accounts=["reader", "default"]), allow(accounts=["writer"], targets=[role("writer")]),
        allow("kube-system"),
    ],
)  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, []),
        ({"subject": {"serviceAccountNames": ["reader", "stranger"]}},
         [("APO401", "spec.subject.serviceAccountNames[1]")]),
        ({"subject": {"serviceAccountNames": ["default"]}}, [("APO202", "spec.subject.serviceAccountNames[0]")]),
        ({"subject": {"serviceAccountNames": ["*"]}}, [
            ("APO201", "spec.subject.serviceAccountNames[0]"), ("APO401", "spec.subject.serviceAccountNames[0]")]),
        ({"namespace": "elsewhere"}, [("APO401", "metadata.namespace")]),
        ({"namespace": "kube-system"}, [("APO203", "metadata.namespace")]),
        ({"target": {"aws": {"roleARN": role("unlisted")}}}, [("APO401", "spec.target.aws.roleARN")]),
        # No cross products: reader's roles are not writer's, in the same namespace.
        ({"target": {"aws": {"roleARN": role("writer")}}}, [("APO401", "spec.target.aws.roleARN")]),
        ({"target": {"aws": {"roleARN": role("writer")}}, "subject": {"serviceAccountNames": ["writer"]}}, []),
        ({"subject": {"serviceAccountNames": ["reader", "writer"]}}, [("APO401", "spec.target.aws.roleARN")]),
        ({"target": {"aws": {"roleARN": role("x", "999999999999")}}}, [("AWS102", "spec.target.aws.roleARN")]),
        ({"target": {"aws": {"roleARN": role("x", partition="aws-cn")}}}, [("AWS102", "spec.target.aws.roleARN")]),
        ({"target": {"aws": {"roleARN": "payments-reader-of-prod"}}}, [("AWS101", "spec.target.aws.roleARN")]),
        ({"token": {"expirationSeconds": 600}}, []),
        ({"token": {"expirationSeconds": 3601}}, [("APO302", "spec.token.expirationSeconds")]),
        ({"token": {"expirationSeconds": 3607}}, [("APO303", "spec.token.expirationSeconds")]),
        ({"token": {"expirationSeconds": 86400}}, [("APO302", "spec.token.expirationSeconds")]),
        ({"delivery": {"mode": "Sidecar"}}, []),
        ({"delivery": {"mode": "Init"}}, []),
        ({"delivery": {"mode": "Init", "files": [{"format": "JSON", "name": "a.json"}]}}, []),
        ({"delivery": {"mode": "Init", "notify": {"http": {"port": 80}}}}, [("APO401", "spec.delivery.notify")]),
        ({"delivery": {"mode": "Init", "endpoint": {"type": "AWSContainerCredentials"}}},
         [("APO401", "spec.delivery.endpoint")]),
        ({"delivery": {"mode": "TokenOnly"}}, []),
        ({"delivery": {"mode": "TokenOnly", "files": [{"format": "JSON", "name": "a.json"}]}},
         [("APO401", "spec.delivery.files")]),
    ],
)  # fmt: skip
def test_binding(spec: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert of_binding(WIDE, **spec) == expected


def test_a_binding_stays_under_the_trusts_ceiling() -> None:
    low = trust(ceilings={"assertionSeconds": 900})
    assert of_binding(low, token={"expirationSeconds": 900}) == []
    assert of_binding(low, token={"expirationSeconds": 901}) == [("APO301", "spec.token.expirationSeconds")]


def test_without_a_trust_only_rules_that_need_none_speak() -> None:
    orphan = binding(namespace="kube-system", token={"expirationSeconds": 3607}, target={"aws": {"roleARN": "x" * 20}})
    found = told(judge_binding(orphan, None, CONTEXT))
    assert found == [("APO203", "metadata.namespace"), ("APO303", "spec.token.expirationSeconds")]


def test_a_refusal_says_what_would_be_allowed() -> None:
    (finding,) = judge_binding(binding(target={"aws": {"roleARN": role("unlisted")}}), WIDE, CONTEXT)
    assert "does not allow reader of namespace payments to take on" in finding.message
    assert f"(allowed: {role('payments-reader')})" in finding.message
    (finding,) = judge_binding(binding(subject={"serviceAccountNames": ["stranger"]}), WIDE, CONTEXT)
    assert "(allowed there: default, reader, writer)" in finding.message
