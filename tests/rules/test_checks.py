"""Every rule on a value: fires on the case, silent on its nearest innocent neighbour."""

from __future__ import annotations

import pytest

from apostille.model.finding import Severity
from apostille.parties.registry import catalogue
from apostille.rules import checks
from builders import ISSUER


def ids(findings: object) -> list[str]:
    return [finding.rule.id for finding in findings]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("audience", "rules"),
    [
        ("", ["APO101"]),
        ("   ", ["APO101"]),
        ("\t\n", ["APO101"]),
        ("x", []),
        # The API server in every spelling, known without knowing its flags …
        ("kubernetes", ["APO102"]),
        ("kubernetes.default", ["APO102"]),
        ("kubernetes.default.svc", ["APO102"]),
        ("KUBERNETES.Default.SVC", ["APO102"]),
        ("https://kubernetes.default.svc", ["APO102"]),
        ("https://kubernetes.default.svc/", ["APO102"]),
        ("HTTPS://kubernetes.default.svc//", ["APO102"]),
        ("http://kubernetes.default.svc:443/", ["APO102"]),
        ("https://kubernetes.default.svc.cluster.local", ["APO102"]),
        ("kubernetes.default.svc.cluster.local:6443", ["APO102"]),
        ("https://kubernetes.default.svc.corp.internal", ["APO102"]),
        ("kubernetes.default.svc.cluster.local.", ["APO102"]),
        ("api://kubernetes.default.svc", ["APO102"]),
        # … its issuer, and the audiences it says it accepts.
        ("https://oidc.example.com/cluster-a", ["APO102"]),
        ("https://oidc.example.com/cluster-a/", ["APO102"]),
        ("https://OIDC.example.com/Cluster-A", ["APO102"]),
        ("oidc.example.com/cluster-a", ["APO102"]),
        ("api.internal", ["APO102"]),
        ("API.internal/", ["APO102"]),
        # Neighbours that are somebody else.
        ("https://oidc.example.com/cluster-b", []),
        ("https://kubernetes.example", []),
        ("kubernetes-prod", []),
        ("https://kubernetes.default.example", []),
        ("https://kubernetes.default.svc/vault", []),
        ("api.internal.example", []),
        # Patterns, and what is no plain string.
        ("https://*.sts.example", ["APO103"]),
        ("a?c", ["APO103"]),
        ("a b", ["APO103"]),
        (" a", ["APO103"]),
        ("a\x00", ["APO103"]),
        ("a\x7f", ["APO103"]),
        ("a\u200b", ["APO103"]),
        ("a\u00a0b", ["APO103"]),
        ("https://x.example/%2A+~!$&'()[]", []),
        ("x" * 255, []),
        ("x" * 256, ["APO103"]),
        (" kubernetes.default.svc", ["APO102", "APO103"]),
    ],
)
def test_audience(audience: str, rules: list[str]) -> None:
    assert ids(checks.audience(audience, "spec.audience", ISSUER)) == rules


def test_the_issuers_audiences_wait_for_the_issuer() -> None:
    assert ids(checks.audience("api.internal", "spec.audience", None)) == []
    assert ids(checks.audience("kubernetes.default.svc", "spec.audience", None)) == ["APO102"]


@pytest.mark.parametrize(
    ("name", "rules"),
    [("reader", []), ("default", ["APO202"]), ("default-2", []), ("*", ["APO201"]), ("read?r", ["APO201"])],
)
def test_service_account(name: str, rules: list[str]) -> None:
    assert ids(checks.service_account("payments", name, "p")) == rules


@pytest.mark.parametrize(
    ("name", "rules"),
    [
        ("kube-system", ["APO203"]),
        ("kube-public", ["APO203"]),
        ("kube-node-lease", ["APO203"]),
        ("apostille-system", ["APO203"]),
        ("kube-system-tools", []),
        ("default", []),
        ("team-*", ["APO201"]),
        ("team-a", []),
    ],
)
def test_namespace(name: str, rules: list[str]) -> None:
    assert ids(checks.namespace(name, "p", "apostille-system")) == rules


@pytest.mark.parametrize(
    ("seconds", "ceiling", "rules"),
    [
        (599, None, ["APO301"]),
        (600, None, []),
        (3600, None, []),
        (3601, None, ["APO302"]),
        (3606, None, ["APO302"]),
        (3607, None, ["APO303"]),
        (3608, None, ["APO302"]),
        (86400, None, ["APO302"]),
        (86401, None, ["APO301"]),
        (900, 900, []),
        (901, 900, ["APO301"]),
        (7200, 7200, ["APO302"]),
        (3607, 3600, ["APO301"]),
        (3607, 7200, ["APO303"]),
    ],
)
def test_lifetime(seconds: int, ceiling: int | None, rules: list[str]) -> None:
    assert ids(checks.lifetime(seconds, "p", ceiling)) == rules


def test_repetitions_of_a_rule_at_a_path_are_told_once() -> None:
    twice = [*checks.lifetime(1, "a"), *checks.lifetime(2, "a"), *checks.lifetime(1, "b")]
    assert [finding.path for finding in checks.first_of_each(twice)] == ["a", "b"]


def test_every_rule_has_an_id_of_its_own_a_remedy_and_a_page() -> None:
    rules = catalogue()
    assert len({rule.id for rule in rules}) == len(rules)
    for rule in rules:
        assert rule.remedy, rule.id
        assert rule.enforced_in, rule.id
        shown = str(rule.at("spec.audience", "it is wrong"))
        assert shown.startswith("spec.audience: it is wrong. ")
        assert f"/rules/{rule.id}]" in shown


def test_only_warnings_admit() -> None:
    for rule in catalogue():
        assert rule.at("p", "m").refuses == (rule.severity is not Severity.WARN)
