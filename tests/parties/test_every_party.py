"""What holds for every party, whichever it is: the two strangers, determinism, reading back, names of files."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.names import DOCS
from apostille.parties.party import Party
from apostille.parties.registry import BY_NAME, PARTIES, catalogue
from builders import ISSUER, binding, role, trust
from self_hosted import minio_binding, minio_trust, vault_binding, vault_trust


@dataclass(frozen=True)
class Sample:
    """A party with one of its trusts and its targets."""

    trust: FederationTrust
    bind: Callable[..., WorkloadBinding]
    targets: tuple[dict[str, Any], ...]

    @property
    def party(self) -> Party:
        return self.trust.party


SAMPLES = {
    "AWS": Sample(trust(), binding, tuple({"aws": {"roleARN": role(name)}} for name in ("a", "b", "path/c"))),
    "Vault": Sample(vault_trust(), vault_binding, tuple({"vault": {"role": name}} for name in ("a", "b", "c.d-e_f"))),
    "MinIO": Sample(
        minio_trust(), minio_binding, tuple({"minio": {"policy": f"ledger-{name}"}} for name in ("reader", "writer"))
    ),
    "MinIO with roles": Sample(
        minio_trust(settings={"mode": "Role"}),
        minio_binding,
        tuple({"minio": {"policy": f"ledger-{name}"}} for name in ("reader", "writer")),
    ),
}

names = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,8}[a-z0-9])?", fullmatch=True)
bound = st.lists(st.tuples(names, names, st.integers(0, 5)), min_size=1, max_size=6, unique_by=lambda one: one[:2])


def test_every_party_has_a_sample() -> None:
    assert {sample.party.name for sample in SAMPLES.values()} == set(BY_NAME)


def claims(trust: FederationTrust, namespace: str, name: str, **changes: Any) -> dict[str, Any]:
    return {
        "iss": ISSUER.url,
        "sub": f"system:serviceaccount:{namespace}:{name}",
        "aud": [trust.audience],
        "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": "u"}},
        **changes,
    }


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
    views = [one.view(party) for one in bindings]
    made = party.access(by.view, views, ISSUER)
    files = party.render(made, "native")
    assert party.render(party.access(by.view, list(reversed(views)), ISSUER), "native") == files
    read = party.parse(files)
    assert party.render(read, "native") == files
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", file) for file in files), "keys of a ConfigMap"
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
            others = {party.target_id(v.target) for v in views} - {target}
            assert not any(party.evaluate(access, claims(by, namespace, name), other).allowed for other in others)


@pytest.mark.parametrize("kind", SAMPLES)
def test_with_nobody_bound_nobody_gets_in(kind: str) -> None:
    sample = SAMPLES[kind]
    made = sample.party.access(sample.trust.view, (), ISSUER)
    for target in sample.targets:
        wanted = sample.party.target_id(sample.bind(target=target).view(sample.party).target)
        assert not sample.party.evaluate(made, claims(sample.trust, "payments", "reader"), wanted).allowed


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
