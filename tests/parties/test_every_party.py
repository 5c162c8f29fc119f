"""What holds for every party, whichever it is: the two strangers, determinism, reading back, names of files."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from apostille.core.inject import inject
from apostille.core.judge import judge_binding, judge_trust
from apostille.core.pod_plan import pod_plan
from apostille.core.settings import InjectionSettings
from apostille.kinds import decode
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.names import DOCS
from apostille.parties import shell, terraform
from apostille.parties.party import FORMATS, BindingView, Party, form_of
from apostille.parties.registry import BY_NAME, PARTIES, catalogue, is_document
from builders import CONTEXT, ISSUER
from samples.sample import every

SAMPLES = every()
EXAMPLES = Path(__file__).parents[2] / "examples"
DOCS_FOLDER = Path(__file__).parents[2] / "docs" / "parties"

names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
bound = st.lists(st.tuples(names, names, st.integers(0, 5)), min_size=1, max_size=6, unique_by=lambda one: one[:2])


def test_every_party_has_a_sample() -> None:
    assert {sample.party.name for sample in SAMPLES.values()} == set(BY_NAME)


def claims(trust: FederationTrust, namespace: str, name: str, **changes: Any) -> dict[str, Any]:
    return {
        "iss": ISSUER.url,
        "sub": f"system:serviceaccount:{namespace}:{name}",
        "aud": [trust.audience],
        "kubernetes.io": {
            "namespace": namespace,
            "serviceaccount": {"name": name, "uid": f"uid-{namespace}-{name}"},
            "pod": {"name": f"{name}-0", "uid": "p"},
        },
        **changes,
    }


def viewed(one: WorkloadBinding, by: FederationTrust) -> BindingView:
    """As `core.access` hands a binding to the party."""
    uids = {name: f"uid-{one.namespace}-{name}" for _, name in one.service_accounts}
    return one.view(by.party, uids if by.party.pins_instances(by.view.settings) else None)


def within_limits(
    by: FederationTrust, declared: list[tuple[str, str, int]], views: list[BindingView]
) -> tuple[list[tuple[str, str, int]], list[BindingView]]:
    """Without the bindings that go over a bound of the far side: they are refused (`core.access`)."""
    while over := {limit.over for limit in by.party.limits(by.view, views, ISSUER)} - {""}:
        kept = [(one, view) for one, view in zip(declared, views, strict=True) if view.key not in over]
        declared, views = [one for one, _ in kept], [view for _, view in kept]
    return declared, views


@pytest.mark.parametrize("kind", SAMPLES)
@settings(deadline=None, max_examples=50)
@given(declared=bound, strangers=st.tuples(names, names, names, names))
def test_the_bound_get_in_and_two_strangers_do_not(
    kind: str, declared: list[tuple[str, str, int]], strangers: tuple[str, str, str, str]
) -> None:
    sample = SAMPLES[kind]
    party, by = sample.party, sample.trust
    bindings = [
        sample.bind(
            f"b{i}", namespace, subject={"serviceAccountNames": [name]}, target=sample.targets[t % len(sample.targets)]
        )
        for i, (namespace, name, t) in enumerate(declared)
    ]
    declared, views = within_limits(by, declared, [viewed(one, by) for one in bindings])
    made = party.access(by.view, views, ISSUER)
    files = party.render(made, "native")
    other = party.access(by.view, list(reversed(views)), ISSUER)
    assert [party.render(other, form) for form in FORMATS] == [party.render(made, form) for form in FORMATS]
    read = party.parse(files)
    assert party.render(read, "native") == files
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", file) for file in files), "keys of a ConfigMap"
    assert {file: form_of(file) for file in files} == dict.fromkeys(files, "native")
    assert all(re.fullmatch(party.file_names, file) and is_document(file) for file in files)
    assert list(party.render(made, "cli")) == [shell.FILE]
    assert list(party.render(made, "terraform")) == [terraform.FILE]
    assert (form_of(shell.FILE), form_of(terraform.FILE)) == ("cli", "terraform")
    pairs = {(namespace, name) for namespace, name, _ in declared}
    mixed = {(strangers[0], strangers[1]), (strangers[2], strangers[3]), *((n, strangers[1]) for n, _ in pairs)}
    for access in (made, read):
        for (namespace, name, _), view in zip(declared, views, strict=True):
            target = party.target_id(view.target)
            assert party.evaluate(access, claims(by, namespace, name), target).allowed
            assert not party.evaluate(access, claims(by, namespace, name, aud=["other"]), target).allowed
            assert not party.evaluate(access, claims(by, namespace, name, aud=[]), target).allowed
            for stranger in mixed - pairs:
                assert not party.evaluate(access, claims(by, *stranger), target).allowed
            anew = {**claims(by, namespace, name)["kubernetes.io"], "serviceaccount": {"name": name, "uid": "another"}}
            again = party.evaluate(access, claims(by, namespace, name, **{"kubernetes.io": anew}), target)
            assert again.allowed is not party.pins_instances(by.view.settings), "a service account made anew"
            others = {party.target_id(v.target) for v in views} - {target}
            assert not any(party.evaluate(access, claims(by, namespace, name), other).allowed for other in others)


@pytest.mark.parametrize("kind", SAMPLES)
def test_with_nobody_bound_nobody_gets_in(kind: str) -> None:
    sample = SAMPLES[kind]
    made = sample.party.access(sample.trust.view, (), ISSUER)
    for target in sample.targets:
        wanted = sample.party.target_id(sample.bind(target=target).view(sample.party).target)
        assert not sample.party.evaluate(made, claims(sample.trust, "payments", "reader"), wanted).allowed


@pytest.mark.parametrize("kind", SAMPLES)
def test_the_script_is_one_and_the_configuration_too(kind: str) -> None:
    """Read by a shell that runs nothing, and by the rules of Terraform's JSON syntax."""
    sample = SAMPLES[kind]
    bindings = [sample.bind(f"b{i}", target=target) for i, target in enumerate(sample.targets)]
    made = sample.party.access(sample.trust.view, [viewed(one, sample.trust) for one in bindings], ISSUER)
    shown = subprocess.run(
        [shutil.which("sh") or "sh", "-n"], input=sample.party.render(made, "cli")[shell.FILE], text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    assert (shown.returncode, shown.stderr) == (0, "")
    document = json.loads(sample.party.render(made, "terraform")[terraform.FILE])
    assert {"terraform", "resource"} <= set(document) <= {"terraform", "resource", "output"}
    sources = document["terraform"]["required_providers"]
    for kind_of, resources in document["resource"].items():
        assert kind_of.partition("_")[0] in sources, "every resource is of a provider that is named"
        assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name) for name in resources)


@pytest.mark.parametrize("party", PARTIES, ids=lambda party: party.name)
def test_the_example_is_accepted_and_its_pod_served(party: Party) -> None:
    """AWS' is the quickstart; every other party has a folder of its member's name."""
    folder = EXAMPLES / ("quickstart" if party.name == "AWS" else party.member)
    trust, binding, pod = (
        yaml.safe_load((folder / file).read_text()) for file in ("10-trust.yaml", "20-binding.yaml", "30-pod.yaml")
    )
    declared, bound = decode.federation_trust(trust), decode.workload_binding(binding)
    assert declared.party is party
    assert [finding for finding in judge_trust(declared, (), CONTEXT) if finding.refuses] == []
    assert judge_binding(bound, declared, CONTEXT) == []
    plan = pod_plan(declared, bound)
    made = inject(pod, [plan], InjectionSettings())
    assert (made.denial, made.warnings) == ("", ())
    assert (DOCS_FOLDER / f"{party.member}.md").is_file()


@pytest.mark.parametrize("party", PARTIES, ids=lambda party: party.name)
def test_a_party_is_told_apart_by_its_names(party: Party) -> None:
    assert [other for other in PARTIES if other.member == party.member or other.name == party.name] == [party]
    assert party.deliveries


def test_every_rule_has_an_id_of_its_own_and_says_what_to_do() -> None:
    rules = catalogue()
    ids = [rule.id for rule in rules]
    assert len(set(ids)) == len(ids)
    for rule in rules:
        assert re.fullmatch(r"[A-Z]{3}[0-9]{3}", rule.id)
        assert not rule.title.endswith(".")
        assert not rule.remedy.endswith(".")
        assert f"{DOCS}/rules/{rule.id}" in str(rule.at("spec", "x"))
