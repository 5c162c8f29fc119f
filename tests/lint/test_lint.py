"""What lint says of files: each by itself, joined, tolerated, and of what is none of its business."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
import yaml

import builders
from apostille.core.judge import Context, judge_binding, judge_trust
from apostille.lint.judge import Options, lint
from apostille.lint.report import Report
from apostille.model.finding import Severity
from builders import raw_binding, raw_trust, role

TODAY = date(2026, 11, 24)
OPTIONS = Options(Context(None, "apostille-system"), TODAY)
TRUST = "trusts/aws.yaml"
COMMON = raw_trust(audience="sts.amazonaws.com")
IGNORE = "# apostille-lint: ignore APO107"


def text(*documents: Any) -> str:
    return "---\n".join(yaml.safe_dump(document, sort_keys=False) for document in documents)


def report(files: Mapping[str, str | bytes], options: Options = OPTIONS) -> Report:
    given = [(name, data if isinstance(data, bytes) else data.encode()) for name, data in files.items()]
    return lint(given, options)


def found(files: Mapping[str, str | bytes], options: Options = OPTIONS) -> list[tuple[str, str, str]]:
    """(rule, file, path) of what is active."""
    return [(one.finding.rule.id, one.file, one.finding.path) for one in report(files, options).active]


def line_of(files: Mapping[str, str], rule: str) -> str:
    """The text that a finding's place marks."""
    (result,) = [one for one in report(files).active if one.finding.rule.id == rule]
    line = files[result.file].splitlines()[result.place.line - 1]
    return line[result.place.column - 1 : result.place.column - 1 + result.place.width]


def deployment(account: str = "reader", kind: str = "Deployment", **container: Any) -> dict[str, Any]:
    template = {"spec": {"serviceAccountName": account, "containers": [{"name": "app", "image": "a"} | container]}}
    spec: dict[str, Any] = {"template": template}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "web", "namespace": "payments"},
        "spec": {"jobTemplate": {"spec": spec}} if kind == "CronJob" else spec,
    }


def test_what_is_fine_is_silent() -> None:
    files = {TRUST: text(raw_trust()), "b.yaml": text(raw_binding()), "d.yaml": text(deployment())}
    made = report(files)
    assert (found(files), made.problems, made.notes) == ([], [], [])
    assert (made.files, made.objects) == (3, 3)


def test_trusts_and_bindings_are_joined_across_files() -> None:
    files = {
        TRUST: text(raw_trust()),
        "b.yaml": text(raw_binding(target={"aws": {"roleARN": role("admin")}})),
    }
    assert found(files) == [("APO401", "b.yaml", "spec.target.aws.roleARN")]
    assert line_of(files, "APO401") == role("admin")


def test_lint_says_what_the_webhook_says() -> None:
    """The same findings, in the same words, as the functions that admission calls."""
    trust = raw_trust(
        audience="https://kubernetes.default.svc", ceilings={"assertionSeconds": 3600},
        allow=[builders.allow("kube-system", ["default"]), builders.allow("payments", ["reader"])],
    )  # fmt: skip
    binding = raw_binding(token={"expirationSeconds": 7200}, target={"aws": {"roleARN": role("x", "999999999999")}})
    context = OPTIONS.context
    decoded = builders.decode.federation_trust(trust), builders.decode.workload_binding(binding)
    expected = [*judge_trust(decoded[0], [], context), *judge_binding(decoded[1], decoded[0], context)]
    results = report({"all.yaml": text(trust, binding)}).results
    assert sorted(map(str, expected)) == sorted(str(result.finding) for result in results)
    assert len(expected) >= 5


@pytest.mark.parametrize("kind", ["List", "FederationTrustList"])
def test_members_of_lists_are_judged_where_they_stand(kind: str) -> None:
    trust = raw_trust(audience="*")
    listed = {"apiVersion": "v1", "kind": kind, "items": [raw_trust("other"), trust]}
    files = {"l.yaml": "# from kubectl\n" + text(listed)}
    assert found(files) == [("APO103", "l.yaml", "spec.audience")]
    assert line_of(files, "APO103") == "'*'"


def test_json_is_linted_too() -> None:
    files = {"t.json": json.dumps(raw_trust(audience="*"), indent=1)}
    assert found(files) == [("APO103", "t.json", "spec.audience")]
    assert line_of(files, "APO103") == '"*"'


@pytest.mark.parametrize(
    "other",
    [
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n",
        "image: {tag: 1}\n",
        "- a\n- b\n",
        "apiVersion: other.dev/v1\nkind: FederationTrust\nspec: 5\n",
        "kind: [Deployment]\napiVersion: apps/v1\n",
        "apiVersion: apps/v1\nkind: Deployment\nspec: null\n",
        "apiVersion: apps/v1\nkind: Deployment\nspec: {template: [1]}\n",
        "apiVersion: v1\nkind: List\nitems: {a: 1}\n",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: apostille-access-x}\ndata: [1]\n",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p, namespace: payments}\nspec: {serviceAccountName: reader, "
        "containers: 7}\n",
        '{"name": "web", "version": 1}',
    ],
)
def test_what_is_not_ours_is_left_alone(other: str) -> None:
    assert found({TRUST: text(raw_trust()), "b.yaml": text(raw_binding()), "config.json": other, "o.yaml": other}) == []


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (raw_trust(relyingParty={"type": "Nobody"}), "spec.relyingParty.type"),
        (raw_trust(ceilings={"assertionSeconds": "long"}), "spec.ceilings.assertionSeconds"),
        (raw_trust(alow=[]), "spec"),
        (raw_trust(relyingParty={"type": "AWS"}), "spec.relyingParty.aws"),
        (raw_binding(target={}), "spec.target"),
        (raw_binding("b" * 41), "metadata.name"),
        (raw_binding() | {"metadata": [1]}, "metadata"),
        ({"apiVersion": "apostille.dev/v1alpha1", "kind": "FederationTrust"}, "spec"),
    ],
)
def test_what_does_not_fit_the_schema_is_told_with_its_field(document: Any, path: str) -> None:
    assert ("LNT201", "x.yaml", path) in found({"x.yaml": text(document)})


def test_a_trust_that_is_not_there_is_a_note_and_no_finding() -> None:
    made = report({"b.yaml": text(raw_binding())})
    assert made.active == []
    (note,) = made.notes
    assert "FederationTrust aws-prod" in note


def test_a_live_trust_is_joined_and_judged_without_a_place() -> None:
    live = raw_trust(audience="sts.amazonaws.com", allow=[])
    options = Options(OPTIONS.context, TODAY, live=[live])
    made = report({"b.yaml": text(raw_binding())}, options)
    assert [(one.finding.rule.id, one.file, one.place.line > 0) for one in made.active] == [
        ("APO401", "b.yaml", True), ("APO107", "cluster", False),
    ]  # fmt: skip
    assert made.objects == 1
    # What the file says will hold once it is applied.
    ours = {"b.yaml": text(raw_binding()), TRUST: text(raw_trust())}
    assert found(ours, options) == []


def test_what_is_declared_twice_is_told_at_the_second_place() -> None:
    files = {"a.yaml": text(raw_trust(), raw_binding()), "b.yaml": text(raw_trust(), raw_binding())}
    assert found(files) == [("LNT202", "b.yaml", "metadata.name")] * 2


def test_without_a_namespace_a_binding_is_judged_once_it_is_known() -> None:
    binding = raw_binding()
    del binding["metadata"]["namespace"]
    files = {TRUST: text(raw_trust()), "b.yaml": text(binding)}
    assert (found(files), "give --namespace" in report(files).notes[0]) == ([], True)
    elsewhere = Options(OPTIONS.context, TODAY, namespace="orders")
    assert found(files, elsewhere) == [("APO401", "b.yaml", "metadata.namespace")]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet", "Job", "CronJob"])
def test_a_workload_whose_pods_would_be_refused_is_told_at_its_field(kind: str) -> None:
    mount = {"name": "v", "mountPath": "/var/run/secrets/apostille.dev/x"}
    files = {
        "all.yaml": text(raw_trust(), raw_binding(), deployment(kind=kind, volumeMounts=[mount])),
    }
    ((rule, _, path),) = found(files)
    assert (rule, path.endswith("spec.containers[0].volumeMounts[0].mountPath")) == ("LNT301", True)
    assert line_of(files, "LNT301") == mount["mountPath"]
    # Of another service account nothing is asked.
    assert found({"all.yaml": text(raw_trust(), raw_binding(), deployment("other", kind, volumeMounts=[mount]))}) == []


def test_a_static_credential_in_a_template_is_a_warning() -> None:
    env = [{"name": "AWS_ACCESS_KEY_ID", "value": "x"}]
    files = {"all.yaml": text(raw_trust(), raw_binding(), deployment(env=env))}
    assert found(files) == [("LNT302", "all.yaml", "spec.template.spec.containers[0].env[0]")]


def test_limits_of_the_far_side_show_where_the_issuer_is_known() -> None:
    names = [f"reader-of-the-longest-name-that-anybody-has-thought-of-{i:02}" for i in range(30)]
    bindings = [raw_binding(f"b{i}", subject={"serviceAccountNames": [name]}) for i, name in enumerate(names)]
    files = {"all.yaml": text(raw_trust(allow=[builders.allow("payments", names)]), *bindings)}
    assert found(files) == []
    options = Options(Context(builders.ISSUER, "apostille-system"), TODAY)
    assert ("AWS201", "all.yaml", "spec.allow") in found(files, options)


# ----- suppressions


def suppressed(comment: str, where: str = "  audience:") -> Report:
    written = text(COMMON).replace(where, f"{comment}\n{where}", 1)
    return report({TRUST: written})


@pytest.mark.parametrize(
    "where", ["  audience:", "apiVersion:"], ids=["above the line", "above the document is not the line"]
)
def test_a_comment_tolerates_what_is_found_below_it(where: str) -> None:
    made = suppressed(f"  {IGNORE} until 2027-01-15: the vendor's tool", where)
    rules = [result.finding.rule.id for result in made.active]
    if where == "  audience:":
        (result,) = made.results
        assert result.suppressed is not None
        assert (result.suppressed.reason, result.suppressed.until) == ("the vendor's tool", date(2027, 1, 15))
        assert rules == []
    else:
        assert rules == ["LNT102", "APO107"]


def test_a_comment_in_the_line_itself_counts_too() -> None:
    written = text(COMMON).replace("sts.amazonaws.com", f"sts.amazonaws.com  {IGNORE} until 2027-01-15: reason", 1)
    assert found({TRUST: written}) == []


def test_an_annotation_tolerates_in_the_whole_object() -> None:
    trust = raw_trust(audience="sts.amazonaws.com", ceilings={"assertionSeconds": 7200})
    trust["metadata"]["annotations"] = {
        "lint.apostille.dev/ignore": "APO107 until 2027-01-15: tool; APO302 until 2027-01-15: batch"
    }
    assert found({TRUST: text(trust)}) == []


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        (f"{IGNORE}", "names no rule, no day or no reason"),
        (f"{IGNORE} until 2027-01-15", "names no rule, no day or no reason"),
        (f"{IGNORE} until 2027-01-15:   ", "names no rule, no day or no reason"),
        (f"{IGNORE} until 2026-11-23: was fine", "it ended on 2026-11-23: was fine"),
        (f"{IGNORE} until 2027-02-30: reason", "there is no day 2027-02-30"),
        ("# apostille-lint: ignore APO999 until 2027-01-15: reason", "there is no rule APO999"),
        ("# apostille-lint: ignore until 2027-01-15: reason", "names no rule"),
    ],
)
def test_without_reason_day_or_rule_nothing_is_tolerated(comment: str, said: str) -> None:
    made = suppressed(f"  {comment}")
    assert sorted(result.finding.rule.id for result in made.active) == ["APO107", "LNT101"]
    (told,) = [result.finding.message for result in made.active if result.finding.rule.id == "LNT101"]
    assert said in told


def test_the_last_day_still_counts() -> None:
    assert suppressed(f"  {IGNORE} until {TODAY}: reason").active == []


def test_what_tolerates_nothing_is_told() -> None:
    made = report({TRUST: f"{IGNORE} until 2027-01-15: reason\n{text(raw_trust())}"})
    assert [result.finding.rule.id for result in made.active] == ["LNT102"]


# ----- amounts


def test_ten_thousand_findings_are_told_one_by_one() -> None:
    allow = [builders.allow(f"ns-{i}", ["default"] * 40) for i in range(25)]
    trusts = [raw_trust(f"t{i}", audience=f"https://a{i}.example", allow=allow) for i in range(10)]
    made = report({"many.yaml": text(*json.loads(json.dumps(trusts)))})
    assert len(made.active) == 10_000
    assert made.fails(Severity.DENY)


def test_the_order_of_files_decides_nothing() -> None:
    files = {TRUST: text(COMMON), "b.yaml": text(raw_binding(trustRef={"name": "x"})), "bad.yaml": "a: ["}
    forward, backward = report(files), report(dict(reversed(files.items())))
    assert forward.results == backward.results
    assert sorted(forward.problems, key=str) == sorted(backward.problems, key=str)
