"""Policies follow the declarations: a grant that goes, shards that come, modes that change, nobody there to write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from apostille.core import grants
from apostille.core.grants import Protection
from integration.plain_client import connected, pod
from integration.policy_scene import (
    ENFORCED,
    OWN,
    SETTINGS,
    PolicyScene,
    grant,
    policy_scene,
    token_source,
    token_volume,
)

pytestmark = pytest.mark.integration
PROTECTED = [Protection(ENFORCED, "Enforce")]
SOON = 30.0  # seconds; the API server takes over policies once a second (its policy refresh interval)


@pytest.fixture(scope="module")
def scene(control_plane: Any) -> Iterator[PolicyScene]:
    with connected(control_plane.kubeconfig) as api, policy_scene(api) as scene:
        yield scene


def _judged(scene: PolicyScene, where: str, account: str = "reader") -> tuple[int, int]:
    """HTTP codes of a token request and of a pod that projects such a token."""
    volume = token_volume("mine", token_source(ENFORCED))
    made = scene.api.create(pod(where, "hand-made", account, volumes=[volume]), dry_run=True)
    return scene.token(where, account, [ENFORCED]).code, made.code


ISSUED, REFUSED = (201, 201), (403, 403)


def test_the_probe_tells_when_a_grant_comes_and_goes(scene: PolicyScene) -> None:
    where = scene.namespace("flip")
    took = []
    for granted, expected in (([], REFUSED), ([grant(where, "reader", ENFORCED)], ISSUED), ([], REFUSED)):
        took.append(scene.write(PROTECTED, granted))
        # At the first answer with the new digest, not some time later.
        assert _judged(scene, where) == expected

    assert max(took) < SOON


def test_a_probe_of_older_documents_is_no_proof_of_newer_ones(scene: PolicyScene) -> None:
    where = scene.namespace("digest")
    older = grants.policies(PROTECTED, [], SETTINGS)
    newer = grants.policies(PROTECTED, [grant(where, "reader", ENFORCED)], SETTINGS)

    scene.write(PROTECTED, [])

    assert scene.answered() == grants.expected_warnings(older)
    assert scene.answered() != grants.expected_warnings(newer)


def test_only_the_probe_itself_is_answered(scene: PolicyScene) -> None:
    scene.write(PROTECTED, [])
    other = scene.namespace("not-ours")
    where = {"name": "apostille-probe-0", "namespace": other}
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": where}

    assert scene.api.probe(OWN, "apostille-probe-0")
    assert not scene.api.create(config_map, dry_run=True).warnings
    config_map["metadata"] = {"name": "something-else", "namespace": OWN}
    assert not scene.api.create(config_map, dry_run=True).warnings


@pytest.mark.parametrize("code_points", [1, 120], ids=["a namespace a shard", "few shards"])
def test_shards_judge_as_one(scene: PolicyScene, monkeypatch: pytest.MonkeyPatch, code_points: int) -> None:
    """Namespaces before, between and behind the granted ones fall into some shard's range, each into exactly one."""
    monkeypatch.setattr(grants, "SHARD_CODE_POINTS", code_points)
    granted = [scene.namespace(name) for name in ("b", "d", "d-1", "f")]
    others = [scene.namespace(name) for name in ("a", "c", "d-0", "e", "z")]

    scene.write(PROTECTED, [grant(where, "reader", ENFORCED) for where in granted])

    names = {d["metadata"]["name"] for d in scene.documents if d["kind"] == "ValidatingAdmissionPolicy"}
    assert len({name for name in names if name.startswith("apostille-tokens-enforce-")}) >= 2
    assert {where: _judged(scene, where) for where in granted} == dict.fromkeys(granted, ISSUED)
    assert {where: _judged(scene, where) for where in others} == dict.fromkeys(others, REFUSED)
    assert {_judged(scene, where, "stranger") for where in granted} == {REFUSED}


def test_one_shard_again(scene: PolicyScene) -> None:
    """What a larger set left behind must not go on judging by old grants."""
    where = scene.namespace("b")
    scene.write(PROTECTED, [])
    assert _judged(scene, where) == REFUSED

    scene.write(PROTECTED, [grant(where, "reader", ENFORCED)])
    assert _judged(scene, where) == ISSUED


def test_a_full_shard_compiles(scene: PolicyScene) -> None:
    """The expression of a shard filled to the brim stays under the API server's 100,000 code points."""
    where = scene.namespace("full")
    crowd = [grant(f"{where}-{n:04}", "a-service-account-of-usual-length", ENFORCED) for n in range(1500)]
    scene.write(PROTECTED, [*crowd, grant(where, "reader", ENFORCED)])

    assert _judged(scene, where) == ISSUED
    assert _judged(scene, where, "stranger") == REFUSED


def test_a_mode_that_is_relaxed_lets_requests_pass(scene: PolicyScene) -> None:
    where = scene.namespace("relax")
    scene.write(PROTECTED, [])
    assert _judged(scene, where) == REFUSED

    scene.write([Protection(ENFORCED, "Audit")], [])
    assert _judged(scene, where) == ISSUED
