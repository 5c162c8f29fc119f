"""Pods and workloads are judged as policies and admission judge them; modes and namespaces as in the cluster."""

from __future__ import annotations

from typing import Any

import pytest

from apostille.core.judge import Context
from apostille.lint.judge import Options
from apostille.model.finding import Severity
from apostille.parties.registry import catalogue
from apostille.rules.modes import Modes
from builders import AUDIENCE, raw_binding, raw_trust
from lint.test_lint import TODAY, deployment, found, report, text

ENFORCED = {"mode": "Enforce"}


def projected(
    audience: str = AUDIENCE, account: str = "stranger", seconds: int = 3600, kind: str = "Deployment"
) -> Any:
    made = deployment(account, kind)
    spec = made["spec"]["jobTemplate"]["spec"] if kind == "CronJob" else made["spec"]
    token = {"serviceAccountToken": {"audience": audience, "expirationSeconds": seconds, "path": "token"}}
    spec["template"]["spec"]["volumes"] = [{"name": "t", "projected": {"sources": [token]}}]
    return made


def rules(*objects: Any) -> list[tuple[str, Severity]]:
    made = report({"all.yaml": text(*objects)})
    return [(one.finding.rule.id, one.severity) for one in made.active]


@pytest.mark.parametrize("kind", ["Deployment", "CronJob"])
def test_an_undeclared_user_of_an_enforced_audience_is_refused(kind: str) -> None:
    trust = raw_trust(enforcement=ENFORCED)
    assert rules(trust, projected(kind=kind)) == [("APO501", Severity.DENY)]
    assert rules(trust, projected("https://other.example", kind=kind)) == []


def test_a_service_account_by_its_deprecated_name_is_the_same() -> None:
    workload = projected(account="reader")
    spec = workload["spec"]["template"]["spec"]
    spec["serviceAccount"] = spec.pop("serviceAccountName")
    assert rules(raw_trust(enforcement=ENFORCED), raw_binding(), workload) == []
    spec["serviceAccount"] = "stranger"
    assert rules(raw_trust(enforcement=ENFORCED), raw_binding(), workload) == [("APO501", Severity.DENY)]


def test_where_it_is_only_recorded_lint_warns() -> None:
    assert rules(raw_trust(), projected()) == [("APO501", Severity.WARN)]


def test_a_grant_bounds_what_is_declared_by_hand() -> None:
    declared = raw_trust(enforcement=ENFORCED), raw_binding()
    assert rules(*declared, projected(account="reader")) == []
    assert rules(*declared, projected(account="reader", seconds=7200)) == [("APO503", Severity.DENY)]


def test_a_debug_container_that_mounts_an_identity_is_told() -> None:
    pod = {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "payments"},
        "spec": {
            "containers": [{"name": "app", "image": "a"}],
            "ephemeralContainers": [
                {"name": "d", "volumeMounts": [{"name": "apostille-token-s3-reader", "mountPath": "/x"}]}
            ],
        },
    }  # fmt: skip
    assert found({"p.yaml": text(pod)}) == [("APO504", "p.yaml", "spec.ephemeralContainers[0].volumeMounts[0]")]


def test_two_bindings_that_want_one_variable_are_told_at_both() -> None:
    other = raw_binding("other")
    assert [rule for rule, _, _ in found({"all.yaml": text(raw_trust(), raw_binding(), other)})] == ["APO402"] * 2
    apart = [raw_binding(name, delivery={"containers": {"include": [name]}}) for name in ("one", "two")]
    assert found({"all.yaml": text(raw_trust(), *apart)}) == []


def test_the_installations_modes_count() -> None:
    files = {"t.yaml": text(raw_trust(audience="sts.amazonaws.com"))}
    for written, expected in (("APO107=deny", [Severity.DENY]), ("APO107=off", [])):
        modes = Modes.of([written], catalogue())
        made = report(files, Options(Context(None, "apostille-system", modes=modes), TODAY))
        assert [one.severity for one in made.active] == expected


def test_a_namespace_among_the_files_tightens() -> None:
    binding = raw_binding(token={"expirationSeconds": 7200})
    trust = raw_trust(ceilings={"assertionSeconds": 7200})
    assert rules(trust, binding) == [("APO302", Severity.WARN), ("APO302", Severity.WARN)]
    space = {
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": "payments", "annotations": {"apostille.dev/rules": "APO302=deny"}},
    }  # fmt: skip
    assert sorted(rules(space, trust, binding)) == [("APO302", Severity.DENY), ("APO302", Severity.WARN)]
    space["metadata"]["annotations"] = {"apostille.dev/rules": "APO302=off"}  # type: ignore[index]
    assert ("LNT201", Severity.BROKEN) in rules(space, trust, binding)
