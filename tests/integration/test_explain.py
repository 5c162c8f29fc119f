"""`explain` and `doctor` on a real API server: prepared pods, and what each user may read of them."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from apostille.cli.main import main
from apostille_testbed import ControlPlane, binaries
from apostille_testbed.pods import PodRunner, pod_runner, standard_images
from integration.cluster import Cluster, Team, role
from integration.plain_client import service_account, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
ROOT = Path(__file__).parents[2]
ONLY_APP = {"containers": {"include": ["app"]}}
TWO = [{"name": "app", "image": "app"}, {"name": "worker", "image": "app"}]
ELSEWHERE = role("reader", "999999999999")


@dataclass
class Prepared:
    """Pods by what is the matter with them: name → (namespace, pod)."""

    team: Team
    pods: dict[str, tuple[str, str]] = field(default_factory=dict)

    def run(self, name: str, account: str, team: Team | None = None, **spec: Any) -> None:
        """Creates the pod."""
        there = team or self.team
        there.run(account, name, **spec)
        self.pods[name] = there.ns, name


@pytest.fixture(scope="module")
def prepared(cluster: Cluster) -> Iterator[Prepared]:
    accounts = ("before", "after", "stale", "part", "paused", "over", "orphan", "elsewhere", "allowed")
    with cluster.team() as team, cluster.team() as empty:
        made = Prepared(team)
        team.api.ensure(*(service_account(team.ns, name) for name in accounts))
        # A binding that its trust would refuse is taken while there is no trust; then the trust comes.
        late = f"late-{secrets.token_hex(3)}"
        team.declare(
            team.binding("other-account", "elsewhere", late, target={"aws": {"roleARN": ELSEWHERE}}),
            team.binding("nobodys", "orphan", "no-such-trust"),
        )
        made.run("before", "before")
        everyone = team.allow(*accounts, targets=[role(), role("admin")])
        team.declare(
            team.trust(allow=[everyone]),
            team.trust(late, audience=f"{team.audience}/late", allow=[everyone]),
            team.binding("after", "after"),
            stale := team.binding("stale", "stale"),
            team.binding("part", "part", delivery=ONLY_APP),
            paused := team.binding("paused", "paused"),
            team.binding("over", "over", validity={"notAfter": "2020-01-01T00:00:00Z"}),
        )
        for binding in ("after", "stale", "part", "paused"):
            team.until_ready(team.binding(binding))
        for name in ("after", "stale", "paused", "over", "orphan", "elsewhere", "allowed"):
            made.run(name, name)
        made.run("part", "part", containers=TWO)
        made.run("wrong", "stranger")
        made.run("unbound", "stranger", empty)
        team.declare(before := team.binding("before", "before"))
        assert team.change(stale, token={"expirationSeconds": 1200}).ok
        assert team.change(paused, suspended=True).ok
        team.until_ready(before, "PodsMissing")
        team.until_ready(stale, "PodsMissing")
        team.until_ready(paused, "Suspended")
        team.until_ready(team.binding("nobodys"), "TrustNotFound")
        team.until_ready(team.binding("other-account"), "RuleViolated")
        yield made


def explained(prepared: Prepared, name: str, capsys: pytest.CaptureFixture[str], kubeconfig: str | Path) -> Any:
    """(exit code, the answer as a program reads it)."""
    namespace, pod = prepared.pods[name]
    with pytest.raises(SystemExit) as ended:
        main(["explain", "pod", pod, "-n", namespace, "-o", "json", f"--kubeconfig={kubeconfig}"])
    return ended.value.code, json.loads(capsys.readouterr().out)


def admin(cluster: Cluster) -> Path:
    return cluster.installation.control_plane.kubeconfig


@pytest.mark.parametrize(
    ("name", "state", "change"),
    [
        ("unbound", "NotBound", "a WorkloadBinding"),
        ("allowed", "AllowedNotBound", "spec.subject.serviceAccountNames: [allowed]"),
        ("before", "OlderThanBinding", "kubectl delete pod before"),
        ("after", "Delivered", ""),
        ("stale", "Stale", "kubectl delete pod stale"),
        ("part", "SkippedContainer", "spec.delivery.containers.include of WorkloadBinding part: add worker"),
        ("paused", "Suspended", '\'{"spec":{"suspended":false}}\''),
        ("over", "Expired", "spec.validity.notAfter of WorkloadBinding over"),
        ("orphan", "TrustNotFound", "spec.trustRef.name of WorkloadBinding nobodys"),
        ("wrong", "WrongServiceAccount", "spec.serviceAccountName of the pod"),
        ("elsewhere", "Refused", "spec.target.aws.roleARN of WorkloadBinding other-account"),
    ],
)
def test_each_pod_is_explained_with_the_line_to_change(
    cluster: Cluster, prepared: Prepared, capsys: pytest.CaptureFixture[str], name: str, state: str, change: str
) -> None:
    code, found = explained(prepared, name, capsys, admin(cluster))
    (answer,) = found["answers"]
    assert (answer["state"], found["notes"]) == (state, [])
    assert answer.get("change", "").startswith(change) or change in answer["change"]
    assert code == (0 if state in ("Delivered", "SkippedContainer") else 1)


def test_a_change_that_is_a_command_mends_it(
    cluster: Cluster, prepared: Prepared, capsys: pytest.CaptureFixture[str]
) -> None:
    _, found = explained(prepared, "paused", capsys, admin(cluster))
    command = found["answers"][0]["change"]
    assert command.startswith("kubectl patch wbind ")
    try:
        kubectl = str(binaries.kubectl())
        environment = {
            **os.environ,
            "KUBECONFIG": str(admin(cluster)),
            "PATH": f"{Path(kubectl).parent}:{os.environ['PATH']}",
        }
        subprocess.run(["sh", "-c", command], env=environment, check=True, capture_output=True, timeout=60)
        code, after = explained(prepared, "paused", capsys, admin(cluster))
        assert (code, after["answers"][0]["state"]) == (0, "Delivered")
    finally:
        team = prepared.team
        paused = team.binding("paused", "paused")
        assert team.change(paused, suspended=True).ok
        team.until_ready(paused, "Suspended")


@pytest.fixture(scope="module")
def developer(cluster: Cluster, prepared: Prepared) -> Path:
    """Of somebody who may view the team's namespace and nothing else.

    The rights are those that `view` and the chart's addition to it have there, which a controller manager adds up.
    """
    rules = [
        {"apiGroups": [""], "resources": ["pods", "pods/log", "events"], "verbs": ["get", "list"]},
        {"apiGroups": ["apostille.dev"], "resources": ["workloadbindings"], "verbs": ["get", "list"]},
    ]
    group = "rbac.authorization.k8s.io"
    own = {"apiVersion": f"{group}/v1", "metadata": {"name": "dev", "namespace": prepared.team.ns}}
    prepared.team.declare(
        {**own, "kind": "Role", "rules": rules},
        {
            **own,
            "kind": "RoleBinding",
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "dev"},
            "subjects": [{"apiGroup": group, "kind": "User", "name": "dev"}],
        },
    )
    return cluster.installation.control_plane.kubeconfig_for("dev")


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("after", "Delivered"),
        ("before", "OlderThanBinding"),
        ("stale", "Stale"),
        ("part", "SkippedContainer"),
        ("paused", "Suspended"),
        ("over", "Expired"),
        ("orphan", "TrustNotFound"),
        ("elsewhere", "Refused"),
        ("wrong", "WrongServiceAccount"),
        # Who is allowed stands in the trust.
        ("allowed", "WrongServiceAccount"),
    ],
)
def test_without_cluster_rights_the_status_answers_and_it_is_said_what_that_leaves_open(
    prepared: Prepared, developer: Path, capsys: pytest.CaptureFixture[str], name: str, state: str
) -> None:
    _, found = explained(prepared, name, capsys, developer)
    (answer,) = found["answers"]
    assert answer["state"] == state
    (note,) = found["notes"]
    assert note.startswith("FederationTrusts could not be read (forbidden): ")


def test_a_pod_that_may_not_be_read_is_said_in_one_line(
    cluster: Cluster, prepared: Prepared, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = cluster.installation.control_plane.kubeconfig_for("stranger")
    with pytest.raises(SystemExit) as ended:
        main(["explain", "pod/after", "-n", prepared.team.ns, f"--kubeconfig={stranger}"])
    out, error = capsys.readouterr()
    assert (ended.value.code, out) == (1, "")
    (line,) = error.splitlines()
    assert line.startswith('apostille: pods "after" is forbidden: ')


@pytest.fixture
def vault_team(cluster: Cluster) -> Iterator[tuple[Team, PodRunner]]:
    """A namespace whose pods run, and a Vault that is nowhere."""
    plane: ControlPlane = cluster.installation.control_plane
    images = standard_images()
    with (
        cluster.team() as team,
        pod_runner(plane, name=f"node-{team.ns}", namespaces=[team.ns], images=images) as runner,
    ):
        yield team, runner


def test_a_party_that_cannot_be_reached_is_named_by_its_host(
    cluster: Cluster, vault_team: tuple[Team, PodRunner], capsys: pytest.CaptureFixture[str]
) -> None:
    team, _ = vault_team
    vault = {"address": "https://vault.nowhere.example:8200", "roles": [{"name": "ro", "policies": ["ro"]}]}
    team.declare(
        team.trust(
            relyingParty={"type": "Vault", "vault": vault}, audience=None, allow=[team.allow("reader", targets=["ro"])]
        ),
        binding := team.binding(target={"vault": {"role": "ro"}}),
    )
    team.until_ready(binding)
    team.run("reader", "web", automountServiceAccountToken=False)
    prepared = Prepared(team, {"web": (team.ns, "web")})
    seen: dict[str, Any] = {}

    def unreachable() -> bool:
        _, seen["found"] = explained(prepared, "web", capsys, admin(cluster))
        return bool(seen["found"]["answers"][0]["state"] == "PartyUnreachable")

    until(unreachable, "the sidecar has tried", 0.3)
    (answer,) = seen["found"]["answers"]
    assert "vault.nowhere.example:8200 was not reached" in answer["message"]
    assert f"let pods of namespace {team.ns} reach vault.nowhere.example:8200" in answer["change"]
    assert seen["found"]["notes"] == []


def test_kubectl_finds_it_as_its_plugin(cluster: Cluster, prepared: Prepared, tmp_path: Path) -> None:
    """As pip installs the entry point, under a real kubectl."""
    module, _, function = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"][
        "kubectl-apostille"
    ].partition(":")
    plugin = tmp_path / "kubectl-apostille"
    plugin.write_text(f"#!{sys.executable}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
    plugin.chmod(0o755)
    environment: Mapping[str, str] = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "operator"),
        "KUBECONFIG": str(admin(cluster)),
        "HOME": str(tmp_path),
    }

    def kubectl(*words: str) -> subprocess.CompletedProcess[str]:
        command = [str(binaries.kubectl()), "apostille", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    assert kubectl("--help").stdout.startswith("usage: kubectl apostille ")
    done = kubectl("explain", "pod", "after", "-n", prepared.team.ns)
    assert done.returncode == 0, done.stderr
    assert "WorkloadBinding after: Delivered" in done.stdout
    assert f"{role()} at AWS" in done.stdout


def doctor(capsys: pytest.CaptureFixture[str], kubeconfig: Path) -> tuple[Any, dict[str, list[dict[str, str]]]]:
    """(exit code, checks by name)."""
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "-o", "json", f"--kubeconfig={kubeconfig}"])
    found: dict[str, list[dict[str, str]]] = {}
    for check in json.loads(capsys.readouterr().out)["checks"]:
        found.setdefault(check["name"], []).append(check)
    return ended.value.code, found


def test_doctor_finds_the_installation_well_and_names_what_is_not_ready(
    cluster: Cluster, prepared: Prepared, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found = doctor(capsys, admin(cluster))
    well = ("api server", "kinds", "installation", "controller", "clock", "admission", "certificates", "restraints")
    assert {name: found[name][0]["level"] for name in well} == dict.fromkeys(well, "ok")
    # What others declare on this cluster at the moment may be on its way.
    assert {found[name][0]["level"] for name in ("selection", "policies")} <= {"ok", "warn"}
    told = " ".join(check["message"] for check in found["bindings"])
    assert f"{prepared.team.ns}/nobodys: TrustNotFound" in told or "more" in told
    assert code == 1, "a binding without its trust is a failure"


def test_doctor_says_what_it_may_not_read(developer: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = doctor(capsys, developer)
    assert (code, found["api server"][0]["level"]) == (0, "ok")
    unread = ("installation", "controller", "admission", "certificates", "selection", "policies", "trusts", "bindings")
    for name in unread:
        (check,) = found[name]
        assert (check["level"], "forbidden" in check["message"]) == ("unknown", True)
