"""Fields that begin and end an identity, on the real API server: what pods get, what tokens are minted, what is said.

Everything a test needs is declared before the first one begins, so that the API server is waited for once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from integration.cluster import Cluster, Json, Team, injected
from integration.plain_client import until
from integration.policy_scene import token_source, token_volume

pytestmark = pytest.mark.integration
ENFORCE = {"enforcement": {"mode": "Enforce"}}


class Stage:
    """A team whose binding ``s3-reader`` is enforced and delivered by the sidecar, with a pod that has it."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self.trust = team.trust(**ENFORCE)
        self.binding = team.binding(delivery={"mode": "Sidecar"})
        self.pod: Json = {}

    def settle(self) -> None:
        self.team.until_ready(self.binding)
        self.pod = self.team.run()
        assert injected(self.pod)

    def recipe(self) -> Json:
        """What the running pod's sidecar is told about the binding."""
        plan = self.team.get(self.pod)["metadata"]["annotations"]["apostille.dev/plan"]
        found: Json = json.loads(plan)["bindings"]["s3-reader"]["recipe"]
        return found

    def minted(self) -> bool:
        """Whether the kubelet of the running pod would get its token now."""
        answer = self.team.token(self.pod)
        assert answer.code in (201, 403), answer.message
        return answer.ok

    def until_ended(self, reason: str) -> str:
        """Waits for all that must follow; returns what is said of the binding."""
        until(lambda: not self.minted(), "the next token request is refused")
        until(lambda: self.recipe() == {"ended": True}, "the running pod is told")
        message = self.team.until_ready(self.binding, reason)
        until(lambda: not injected(self.team.run()), "new pods come without it")
        assert self.team.get(self.binding)["status"]["phase"] == "Ended"
        return message

    def until_live(self) -> None:
        """Waits for the way back."""
        self.team.until_ready(self.binding)
        until(lambda: "parameters" in self.recipe(), "the running pod is told")
        assert self.minted()
        assert injected(self.team.run())


@pytest.fixture(scope="module")
def stages(cluster: Cluster) -> Iterator[dict[str, Stage]]:
    """One for each test that changes something."""
    with ExitStack() as stack:
        names = ("trust suspended", "binding suspended", "bounded", "expires", "deleted")
        stages = {name: Stage(stack.enter_context(cluster.team())) for name in names}
        for stage in stages.values():
            stage.team.declare(stage.trust)
        for stage in stages.values():
            stage.team.declare(stage.binding)
        for stage in stages.values():
            stage.settle()
        yield stages


@pytest.fixture(scope="module")
def modes(cluster: Cluster) -> Iterator[dict[str, Team]]:
    """One team a mode, declared and in force."""
    with ExitStack() as stack:
        teams = {mode: stack.enter_context(cluster.team()) for mode in ("Audit", "Warn", "Enforce")}
        for mode, team in teams.items():
            team.declare(team.trust(enforcement={"mode": mode}))
        for team in teams.values():
            team.declare(team.binding())
        for team in teams.values():
            team.in_force()
        yield teams


def soon(seconds: float) -> str:
    """A time that is to come."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_suspended_trust_ends_its_bindings_until_it_is_taken_up_again(stages: dict[str, Stage]) -> None:
    stage = stages["trust suspended"]
    team = stage.team

    assert team.change(stage.trust, suspended=True).ok
    message = stage.until_ended("Suspended")

    assert message == f"FederationTrust {team.ns} is suspended (spec.suspended)"
    assert team.condition(stage.trust) == (
        "False", "Suspended", "spec.suspended is set: no binding of this trust is in force",
    )  # fmt: skip

    assert team.change(stage.trust, suspended=False).ok
    stage.until_live()


def test_a_suspended_binding_ends_alone(stages: dict[str, Stage]) -> None:
    stage = stages["binding suspended"]
    neighbour = stage.team.binding("neighbour", "writer")
    stage.team.declare(neighbour)

    assert stage.team.change(stage.binding, suspended=True).ok
    message = stage.until_ended("Suspended")

    assert message == "the binding is suspended (spec.suspended)"
    stage.team.until_ready(neighbour)
    assert stage.team.token(stage.team.run("writer")).ok
    assert stage.team.condition(stage.trust)[:2] == ("True", "Ready")


def test_a_binding_begins_and_ends_by_itself(stages: dict[str, Stage]) -> None:
    """No request makes it happen: time does."""
    stage = stages["bounded"]
    team = stage.team

    begins = soon(4)
    assert team.change(stage.binding, validity={"notBefore": begins}).ok
    message = team.until_ready(stage.binding, "NotYet")
    status = team.get(stage.binding)["status"]
    assert (status["phase"], status["nextChange"]) == ("NotYet", begins)
    assert message == f"begins at {begins.replace('Z', '+00:00')} (spec.validity.notBefore)"

    stage.until_live()

    ends = soon(2)
    assert team.change(stage.binding, validity={"notAfter": ends}).ok
    message = stage.until_ended("Expired")
    assert message == f"ended at {ends.replace('Z', '+00:00')} (spec.validity.notAfter)"


def test_an_expired_trust_ends_its_bindings_by_itself(stages: dict[str, Stage]) -> None:
    stage = stages["expires"]

    ends = soon(2)
    assert stage.team.change(stage.trust, governance={"expiresAt": ends}).ok
    message = stage.until_ended("Expired")

    assert ends.replace("Z", "+00:00") in message
    assert f"spec.governance.expiresAt of FederationTrust {stage.team.ns}" in message
    assert "spec.governance.expiresAt" in stage.team.until_ready(stage.trust, "Expired")


def test_a_trust_without_bindings_expires_too(team: Team) -> None:
    trust = team.trust()
    team.declare(trust)
    team.until_ready(trust)

    assert team.change(trust, governance={"expiresAt": soon(2)}).ok

    assert "spec.governance.expiresAt" in team.until_ready(trust, "Expired")


def mutate_calls(team: Team) -> float:
    """Pods that the admission server was asked about."""
    lines = team.cluster.installation.metrics().splitlines()
    wanted = [line for line in lines if line.startswith("apostille_admission_requests_total{") and "mutate" in line]
    return sum(float(line.rpartition(" ")[2]) for line in wanted)


def test_a_deleted_binding_ends_and_its_account_is_elsewhere_once_the_trust_is_gone(stages: dict[str, Stage]) -> None:
    stage = stages["deleted"]
    team = stage.team

    team.delete(stage.binding)
    until(lambda: not stage.minted(), "the next token request is refused")
    until(lambda: stage.recipe() == {"ended": True}, "the running pod is told")

    refusal = team.token(stage.pod).message
    assert refusal.endswith(
        f"spec.audiences: no live WorkloadBinding grants service account reader of namespace {team.ns} tokens for "
        f"audience {team.audience}; declare one, or see why it ended: kubectl get wbind -n {team.ns} [APO501]"
    )
    before = mutate_calls(team)
    assert not injected(team.run())
    assert mutate_calls(team) > before, "allowed pods are asked about, once their binding may come"

    team.delete(stage.trust)

    def elsewhere() -> bool:
        seen = mutate_calls(team)
        assert not injected(team.run())
        return mutate_calls(team) == seen

    until(elsewhere, "nothing is asked about the account any more", 0.1)


def hand_made(team: Team, audience: str) -> Json:
    """A volume as other tools make it, without a binding."""
    return {"volumes": [token_volume("mine", token_source(audience))]}


def test_what_undeclared_users_get_is_the_trusts_mode(modes: dict[str, Team]) -> None:
    """A token request, and a pod that projects such a token; what is recorded is in test_dead_processes."""
    answers = {
        mode: (team.token(team.run("stranger")), team.api.create(
            team.pod("stranger", **hand_made(team, team.audience)), dry_run=True
        ))
        for mode, team in modes.items()
    }  # fmt: skip

    assert {mode: [answer.code for answer in pair] for mode, pair in answers.items()} == {
        "Audit": [201, 201], "Warn": [201, 201], "Enforce": [403, 403],
    }  # fmt: skip
    assert [answer.warnings for answer in answers["Audit"]] == [(), ()]
    for (warning,) in (answer.warnings for answer in answers["Warn"]):
        assert "no live WorkloadBinding grants" in warning
        assert modes["Warn"].ns in warning


def test_only_enforce_says_that_an_end_is_an_end(modes: dict[str, Team]) -> None:
    said = {mode: team.condition(team.binding(), "Enforced") for mode, team in modes.items()}

    assert {mode: condition[:2] for mode, condition in said.items()} == {
        "Audit": ("False", "Audit"), "Warn": ("False", "Warn"), "Enforce": ("True", "Enforce"),
    }  # fmt: skip
    for mode in ("Audit", "Warn"):
        assert "does not stop the refresh of tokens" in said[mode][2]


def test_without_enforcement_an_ended_binding_stops_no_token(modes: dict[str, Team]) -> None:
    team = modes["Audit"]
    pod = team.run()
    assert team.change(team.binding(), suspended=True).ok
    team.until_ready(team.binding(), "Suspended")

    assert team.token(pod).ok
    until(lambda: not injected(team.run()), "new pods come without it")


def test_who_was_there_first_is_counted_and_spared_until_forced(cluster: Cluster, team: Team) -> None:
    """Others used the audience before the trust came; another namespace of nobody's is protected at once."""
    with cluster.team() as others:
        first = [others.run("stranger", **hand_made(others, team.audience)) for _ in range(2)]
        trust = team.trust(**ENFORCE)
        team.declare(trust, team.binding())

        message = team.until_ready(trust, "ForeignUsers")
        status = team.get(trust)["status"]
        own = team.run("stranger")
        until(lambda: not team.token(own).ok, "the rest is enforced")

        assert status["foreignUsers"] == [{"namespace": others.ns, "pods": 2, "tokenRequests": 0}]
        assert f"{others.ns} (2)" in message
        assert others.token(first[0], [team.audience]).ok
        assert others.api.create(others.pod("stranger", **hand_made(others, team.audience)), dry_run=True).ok

        assert team.change(trust, enforcement={"force": True}).ok
        until(lambda: not others.token(first[0], [team.audience]).ok, "forced")
        until(lambda: team.condition(trust)[:2] == ("True", "Ready"), "it is enforced everywhere")
        assert team.get(trust)["status"]["foreignUsers"] == [{"namespace": others.ns, "pods": 2, "tokenRequests": 0}]

        assert team.change(trust, enforcement={"force": False}).ok
        until(lambda: others.token(first[0], [team.audience]).ok, "spared again")
        for pod in first:
            others.delete(pod)
        team.until_ready(trust)
        until(lambda: "foreignUsers" not in team.get(trust)["status"], "nobody is left")


def test_trusts_that_share_an_audience_say_that_they_keep_each_other_open(team: Team) -> None:
    shared = {**ENFORCE, "sharedAudience": True}
    trusts = [team.trust(**shared), team.trust(f"{team.ns}-b", **shared)]
    bindings = [
        team.binding(delivery={"containers": {"include": ["app"]}}),
        team.binding("s3-b", trust=f"{team.ns}-b", delivery={"containers": {"include": ["other"]}}),
    ]
    team.declare(*trusts)
    team.declare(*bindings)
    for trust in trusts:
        message = team.until_ready(trust, "CutOffShared")
        assert "ending a binding here does not stop tokens there" in message
    for binding in bindings:
        until(lambda binding=binding: team.condition(binding)[0] == "True", "both are in force")  # type: ignore[misc]
    pod = team.run(containers=[{"name": "app", "image": "app"}, {"name": "other", "image": "other"}])

    team.delete(bindings[1])
    until(lambda: team.get(trusts[1])["status"]["bindings"]["live"] == 0, "one has ended")

    assert team.token(pod).ok, "the other keeps it open, as was said"
