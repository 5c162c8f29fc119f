"""What is told before anything is refused, and who was there before anything was enforced, on a real API server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from integration.cluster import Cluster, Json, Team
from integration.command import Done, command
from integration.plain_client import Answer, until

pytestmark = pytest.mark.integration
ENFORCE: Json = {"enforcement": {"mode": "Enforce"}}
CONTAINER = {"name": "app", "image": "app"}


def deployment(team: Team, account: str, name: str = "web", **spec: Any) -> tuple[str, Json]:
    path = f"/apis/apps/v1/namespaces/{team.ns}/deployments"
    pod = {"serviceAccountName": account, "containers": [CONTAINER]} | spec
    return path, {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": team.ns},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    }  # fmt: skip


def hand_made(audience: str, seconds: int = 3600) -> Json:
    token = {"serviceAccountToken": {"path": "token", "audience": audience, "expirationSeconds": seconds}}
    return {"volumes": [{"name": "mine", "projected": {"sources": [token]}}]}


def apply(team: Team, path: str, body: Json) -> Answer:
    return team.api.request("POST", f"{path}?dryRun=All", body)


def test_a_workload_is_told_when_it_is_applied_and_others_are_not_asked(settled: Team) -> None:
    """The controllers that create pods of it would be refused where nobody looks."""

    def told(account: str, **spec: Any) -> tuple[str, ...]:
        answer = apply(settled, *deployment(settled, account, **spec))
        assert answer.ok, answer.message
        return answer.warnings

    until(lambda: len(told("stranger", **hand_made(settled.audience))) == 1, "the webhook is in force")
    (warning,) = told("stranger", **hand_made(settled.audience))
    assert warning.startswith("spec.template.spec.volumes[0]: no live WorkloadBinding grants service account stranger")
    static = {**CONTAINER, "env": [{"name": "AWS_ACCESS_KEY_ID", "value": "AKIA"}]}
    until(lambda: len(told("reader", containers=[static])) == 1, "the one for bound accounts as well")
    assert "a static credential" in told("reader", containers=[static])[0]

    assert told("stranger") == ()
    assert told("stranger", **hand_made("https://nobody.example")) == ()
    assert told("reader", **hand_made(settled.audience)) == ()
    assert told("reader") == ()


def test_what_does_not_change_a_template_is_not_judged_again(settled: Team) -> None:
    path, body = deployment(settled, "stranger", "scaled", **hand_made(settled.audience))
    assert settled.api.request("POST", path, body).ok
    kind = "application/merge-patch+json"

    def patch(change: Json) -> tuple[str, ...]:
        answer = settled.api.request("PATCH", f"{path}/scaled", change, content_type=kind)
        assert answer.ok, answer.message
        return answer.warnings

    assert patch({"spec": {"replicas": 3}}) == ()
    assert patch({"metadata": {"labels": {"a": "b"}, "finalizers": ["example.com/f"]}}) == ()
    assert len(patch({"spec": {"template": {"metadata": {"annotations": {"a": "b"}}, "spec": {"hostname": "h"}}}})) == 1
    assert patch({"metadata": {"finalizers": []}}) == ()
    assert settled.api.request("DELETE", f"{path}/scaled").ok


def test_no_webhook_judges_a_deletion(settled: Team) -> None:
    for kind in ("validatingwebhookconfigurations", "mutatingwebhookconfigurations"):
        answer = settled.api.request("GET", f"/apis/admissionregistration.k8s.io/v1/{kind}")
        rules = [rule for item in answer.body["items"] for hook in item["webhooks"] for rule in hook["rules"]]
        assert rules
        assert {operation for rule in rules for operation in rule["operations"]} <= {"CREATE", "UPDATE"}


@pytest.fixture
def driver(cluster: Cluster, team: Team) -> Iterator[str]:
    """A CSI driver that has tokens for the team's audience requested, for volumes of either sort."""
    name = f"{team.ns}.csi.example"
    path = "/apis/storage.k8s.io/v1/csidrivers"
    body = {
        "apiVersion": "storage.k8s.io/v1", "kind": "CSIDriver", "metadata": {"name": name},
        "spec": {
            "tokenRequests": [{"audience": team.audience}], "volumeLifecycleModes": ["Ephemeral", "Persistent"],
            "requiresRepublish": True,
        },
    }  # fmt: skip
    assert cluster.api.request("POST", path, body).ok
    yield name
    cluster.api.request("DELETE", f"{path}/{name}")


def test_every_sort_of_user_that_was_there_first_is_counted_spared_and_then_enforced(
    cluster: Cluster, team: Team, driver: str
) -> None:
    """IRSA and azwi leave a projected volume in the pod, a CSI driver one of its own, External Secrets nothing."""
    with cluster.team() as irsa, cluster.team() as azwi, cluster.team() as csi, cluster.team() as eso:
        everyone = {"irsa": irsa, "azwi": azwi, "csi": csi, "eso": eso}
        of_irsa = irsa.run("reader", **hand_made(team.audience, 86400))
        of_azwi = azwi.run("writer", **hand_made(team.audience))
        of_csi = csi.run("reader", volumes=[{"name": "secrets", "csi": {"driver": driver}}])
        _persistent(cluster, csi, driver)
        csi.run("writer", volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}])
        operator: Json = {"user": "system:serviceaccount:external-secrets:operator", "groups": ["system:masters"]}
        trust = team.trust(enforcement={"mode": "Audit", "observeTokenRequests": True})
        team.declare(trust, team.binding())
        team.until_ready(trust)

        def external_secrets() -> Answer:
            path = f"/api/v1/namespaces/{eso.ns}/serviceaccounts/reader/token"
            return team.api.request("POST", path, {"spec": {"audiences": [team.audience]}}, **operator)

        def counted() -> dict[str, tuple[int, int]]:
            users = team.get(trust)["status"].get("foreignUsers", ())
            return {user["namespace"]: (user["pods"], user["tokenRequests"]) for user in users}

        def noticed() -> bool:
            assert external_secrets().ok
            return eso.ns in counted()

        until(noticed, "the request is observed", 0.2)
        assert counted() == {irsa.ns: (1, 0), azwi.ns: (1, 0), csi.ns: (2, 0), eso.ns: (0, 1)}
        assert team.condition(trust, "Observed")[:2] == ("True", "TokenRequestsObserved")

        assert team.change(trust, enforcement={"mode": "Enforce"}).ok
        message = team.until_ready(trust, "ForeignUsers")
        own = team.run("stranger")
        until(lambda: not team.token(own).ok, "the rest is enforced")

        assert all(one.ns in message for one in everyone.values())
        assert irsa.token(of_irsa, [team.audience], seconds=86400).ok
        assert azwi.token(of_azwi, [team.audience]).ok
        assert csi.token(of_csi, [team.audience]).ok
        assert external_secrets().ok
        # Nobody else's business: other audiences, and the system.
        assert team.token(own, ["https://another.example"]).ok

        irsa.delete(of_irsa)
        until(lambda: irsa.ns not in counted(), "its user is gone")
        until(lambda: not irsa.token(irsa.run("reader"), [team.audience]).ok, "it is enforced there too", 0.2)
        assert external_secrets().ok


def _persistent(cluster: Cluster, team: Team, driver: str) -> None:
    volume = {
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": team.ns},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"],
            "csi": {"driver": driver, "volumeHandle": team.ns},
            "claimRef": {"namespace": team.ns, "name": "data"},
        },
    }  # fmt: skip
    assert cluster.api.request("POST", "/api/v1/persistentvolumes", volume).ok


def cli(team: Team, *words: str) -> Done:
    return command(team.cluster.installation.control_plane.kubeconfig, *words)


def test_an_audience_stays_closed_after_its_trust_until_it_is_released(team: Team) -> None:
    trust, binding = team.trust(**ENFORCE), team.binding()
    team.declare(trust, binding)
    team.in_force()
    pods = {account: team.run(account) for account in ("reader", "stranger")}
    early = cli(team, "release", team.audience)
    for document in (binding, trust):
        team.delete(document)
    until(lambda: not team.token(pods["reader"]).ok, "nobody has tokens any more")

    assert early.code == 1
    assert f"FederationTrust {team.ns} uses {team.audience}" in early.stderr
    listed: list[str] = []

    def shown() -> bool:
        listed[:] = cli(team, "release").stdout.splitlines()
        return any(line.startswith(f"{team.audience}  since ") for line in listed)

    until(shown, "it is listed", 0.2)
    assert "[APO501]" in team.token(pods["stranger"]).message
    assert not team.api.create(team.pod("stranger", **hand_made(team.audience)), dry_run=True).ok

    released = cli(team, "release", team.audience)

    assert (released.code, released.stderr) == (0, "")
    until(lambda: team.token(pods["stranger"]).ok, "it is open")
    assert cli(team, "release", team.audience).stderr == (
        f"apostille: {team.audience} is not protected; see: apostille release\n"
    )


def test_a_trust_that_comes_again_takes_over_what_stayed_closed(team: Team) -> None:
    trust = team.trust(**ENFORCE)
    team.declare(trust)
    team.until_ready(trust)
    stranger = team.run("stranger")
    team.delete(trust)
    until(lambda: team.audience in cli(team, "release").stdout, "it is listed", 0.2)
    assert not team.token(stranger).ok

    team.declare(team.trust(enforcement={"mode": "Audit"}))
    until(lambda: team.token(stranger).ok, "its owner has opened it")
    assert team.audience not in cli(team, "release").stdout


def test_revoking_by_command_is_suspending(team: Team) -> None:
    team.declare(team.trust(**ENFORCE), team.binding())
    team.in_force()
    pod = team.run()

    asked = cli(team, "revoke", "binding", "s3-reader", "-n", team.ns)
    assert asked.code == 1
    assert asked.stderr == "apostille: nobody is there to be asked; say --yes\n"
    assert team.token(pod).ok
    done = cli(team, "revoke", "binding", "s3-reader", "-n", team.ns, "--yes")

    assert (done.code, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "Suspended: the binding is suspended (spec.suspended)"
    until(lambda: not team.token(pod).ok, "no more tokens")
    assert cli(team, "revoke", "trust", "nowhere", "--yes").code == 1


def test_a_missing_service_account_and_a_rival_binding_are_told(settled: Team) -> None:
    ghost = settled.binding("ghost", "writer")
    assert settled.api.request(
        "DELETE", f"/api/v1/namespaces/{settled.ns}/serviceaccounts/writer"
    ).ok, "it can be taken away"  # fmt: skip
    answer = settled.api.create(ghost, dry_run=True)
    rival = settled.api.create(settled.binding("rival"), dry_run=True)

    assert answer.ok
    assert any("[APO204]" in warning for warning in answer.warnings)
    assert rival.code == 403
    assert "[APO402 X-BINDING-CONFLICT" in rival.message
