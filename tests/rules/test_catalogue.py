"""The whole catalogue: every rule fires on its case and is silent on the nearest innocent neighbour."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from apostille.core.conflicts import conflicts
from apostille.core.grants import Protection, policies
from apostille.core.judge import Context, judge_binding, judge_trust
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.finding import Finding, Rule
from apostille.model.identity import Issuer
from apostille.model.names import DOCS
from apostille.parties.registry import catalogue
from builders import AUDIENCE, CONTEXT, ISSUER, SETTINGS, allow, binding, role, trust
from integration import test_policies as in_the_api_server

RULES = {rule.id: rule for rule in catalogue()}
LONG_NAME = "n" * (255 - len("system:serviceaccount:payments:"))


@dataclass(frozen=True)
class Case:
    """What the rule fires on, at which field, and the neighbour that differs in nothing else."""

    path: str
    guilty: Callable[[], Iterable[Finding]]
    innocent: Callable[[], Iterable[Finding]]


def of_trust(*others: FederationTrust, issuer: Issuer = ISSUER, **spec: Any) -> list[Finding]:
    return judge_trust(trust(**spec), others, Context(issuer, "apostille-system"))


def of_binding(by: FederationTrust | None = None, **spec: Any) -> list[Finding]:
    wide = allow(accounts=["reader", "default", LONG_NAME, LONG_NAME + "n"])
    by = by or trust(allow=[wide, allow("kube-system")], ceilings={"assertionSeconds": 86400})
    return judge_binding(binding(**spec), by, CONTEXT)


def of_access(*targets: str, accounts: int = 1) -> list[Finding]:
    """What the trust's party says of bindings to these roles, together."""
    by = trust()
    views = [
        binding(
            f"b{i}",
            target={"aws": {"roleARN": target}},
            subject={"serviceAccountNames": [f"account-{n:040}" for n in range(accounts)]},
        ).view(by.party)
        for i, target in enumerate(targets)
    ]
    limits = by.party.limits(by.view, views, ISSUER)
    return [*by.party.findings(by.view, views, ISSUER), *(f for limit in limits for f in limit.findings("spec.allow"))]


def audience(guilty: str, innocent: str) -> Case:
    return Case("spec.audience", lambda: of_trust(audience=guilty), lambda: of_trust(audience=innocent))


def seconds(guilty: int, innocent: int, ceiling: int = 86400) -> Case:
    by = trust(ceilings={"assertionSeconds": ceiling})
    return Case(
        "spec.token.expirationSeconds",
        lambda: of_binding(by, token={"expirationSeconds": guilty}),
        lambda: of_binding(by, token={"expirationSeconds": innocent}),
    )


def issuer(guilty: str, innocent: str) -> Case:
    return Case("spec.issuer", lambda: of_trust(issuer=Issuer(guilty)), lambda: of_trust(issuer=Issuer(innocent)))


def account(guilty: str, innocent: str) -> Case:
    return Case(
        "spec.subject.serviceAccountNames[0]",
        lambda: of_binding(subject={"serviceAccountNames": [guilty]}),
        lambda: of_binding(subject={"serviceAccountNames": [innocent]}),
    )


def target(guilty: str, innocent: str) -> Case:
    return Case(
        "spec.target.aws.roleARN",
        lambda: of_binding(target={"aws": {"roleARN": guilty}}),
        lambda: of_binding(target={"aws": {"roleARN": innocent}}),
    )


def _including(container: str, name: str = "a") -> WorkloadBinding:
    return binding(name, delivery={"containers": {"include": [container]}})


READER = role("payments-reader")
CASES: dict[str, list[Case]] = {
    "APO101": [audience("", "x"), audience(" ", "x")],
    "APO102": [
        audience("https://kubernetes.default.svc", "https://kubernetes.default.example"),
        audience(ISSUER.url + "/", ISSUER.url + "/b"),
        audience("API.internal", "api.internal.example"),
    ],
    "APO103": [
        audience("https://*.example", "https://a.example"),
        audience("a b", "a-b"),
    ],
    "APO105": [audience("api://x", "https://api.example"), audience("vault", "vault-readers")],
    "APO106": [
        Case("spec.audience", lambda: of_trust(trust("b")), lambda: of_trust(trust("b", allow=[allow("orders")]))),
        Case(
            "spec.audience",
            lambda: of_trust(trust("b"), sharedAudience=True),
            lambda: of_trust(trust("b", sharedAudience=True), sharedAudience=True),
        ),
    ],
    "APO107": [audience("sts.amazonaws.com", "https://sts.amazonaws.com")],
    "APO201": [
        account("read*", "reader"),
        Case(
            "spec.allow[0].namespace", lambda: of_trust(allow=[allow("pay*")]), lambda: of_trust(allow=[allow("pay")])
        ),
    ],
    "APO202": [account("default", "reader")],
    "APO203": [
        Case(
            "metadata.namespace",
            lambda: judge_binding(binding(namespace="kube-system"), None, CONTEXT),
            lambda: judge_binding(binding(namespace="kube-systems"), None, CONTEXT),
        )
    ],
    "APO301": [seconds(901, 900, ceiling=900)],
    "APO302": [seconds(3601, 3600)],
    "APO303": [seconds(3607, 3606)],
    "APO402": [
        Case(
            "spec.subject.serviceAccountNames[0]",
            lambda: conflicts((binding("a"), trust()), [(binding("b"), trust())]),
            lambda: conflicts((binding("a"), trust()), [(binding("b", suspended=True), trust())]),
        ),
        Case(
            "spec.subject.serviceAccountNames[0]",
            lambda: conflicts((_including("app"), trust()), [(binding("b"), trust())]),
            lambda: conflicts((_including("app"), trust()), [(_including("job", "b"), trust())]),
        ),
    ],
    "APO401": [
        account("stranger", "reader"),
        target(role("unlisted"), READER),
        Case(
            "metadata.namespace",
            lambda: of_binding(trust(allow=[allow("orders")])),
            lambda: of_binding(trust(allow=[allow("payments")])),
        ),
    ],
    "AWS101": [target("arn:aws:iam::123456789012:user/payments-reader", READER), target(READER + "\n", READER)],
    "AWS102": [
        target(role("payments-reader", "999999999999"), READER),
        target(role("payments-reader", partition="aws-cn"), READER),
    ],
    "AWS201": [Case("spec.allow", lambda: of_access(READER, accounts=30), lambda: of_access(READER, accounts=15))],
    "AWS202": [issuer("https://oidc.example.com:443", "https://oidc.example.com")],
    "AWS203": [issuer("https://issuer.default.svc", "https://issuer.default.svc.example")],
    "AWS204": [
        Case("spec.allow", lambda: of_access(role("a/x"), role("b/X")), lambda: of_access(role("a/x"), role("y")))
    ],
    "AWS205": [account(LONG_NAME + "n", LONG_NAME)],
}
# Parties bring theirs in modules of their own: CASES, by rule the field, what breaks it, what does not.
for module in sorted(path.stem for path in Path(__file__).parent.glob("*_cases.py")):
    brought = importlib.import_module(f"rules.{module}").CASES
    CASES.update({rule: [Case(*case)] for rule, case in brought.items()})

# Judged by the admission server with what it reads: the case is in tests/admission/test_validate.py.
READ_THERE = {"APO204"}
# Judged by the API server: the cases are requests to a real one, in tests/integration/test_policies.py.
REFUSED_THERE = [
    *(message for *_, message in in_the_api_server.REFUSED_TOKENS.values()),
    *(message for *_, message in in_the_api_server.REFUSED_PODS.values()),
    in_the_api_server.DEBUG_REFUSED,
]


@pytest.mark.parametrize(
    ("rule", "case"),
    [
        pytest.param(RULES[rule], case, id=f"{rule}-{i}")
        for rule, cases in CASES.items()
        for i, case in enumerate(cases)
    ],
)
def test_a_rule_fires_and_spares_its_neighbour(rule: Rule, case: Case) -> None:
    assert case.path in [finding.path for finding in case.guilty() if finding.rule == rule]
    assert [finding for finding in case.innocent() if finding.refuses or finding.rule == rule] == []


@pytest.mark.parametrize("rule", [rule for rule in RULES.values() if "policy" in rule.enforced_in], ids=lambda r: r.id)
def test_a_rule_of_the_policies_is_told_with_its_id(rule: Rule) -> None:
    assert any(message.endswith(f"[{rule.id}]") for message in REFUSED_THERE), (
        "no request to a real API server shows it"
    )
    written = str(policies([Protection(AUDIENCE, "Enforce")], [], SETTINGS))
    assert f"[{rule.id}]" in written


def test_every_rule_has_a_case() -> None:
    shown = {message[-7:-1] for message in REFUSED_THERE}
    assert set(RULES) == set(CASES) | shown | READ_THERE


def test_the_policies_know_no_rule_that_the_catalogue_does_not() -> None:
    assert {message[-7:-1] for message in REFUSED_THERE} == {r.id for r in RULES.values() if "policy" in r.enforced_in}


def test_every_rule_is_told_apart_and_says_what_to_do() -> None:
    assert len(RULES) == len(catalogue()), "an id is given once"
    for rule in RULES.values():
        assert rule.slug.isupper()
        assert not rule.title.endswith(".")
        assert rule.remedy[0].isupper()
        assert not rule.remedy.endswith("."), "the sentence is ended where it is shown"
        told = str(rule.at("spec.audience", "it is wrong"))
        assert told == f"spec.audience: it is wrong. {rule.remedy}. [{rule.id} {rule.slug}, {DOCS}/rules/{rule.id}]"
