"""With Apostille's processes dead, hanging or not yet ready: who is held up, who is refused, and what they are told.

On an installation of its own, which also writes an audit log, and whose processes log all they can.
"""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from apostille.core.selection import ALLOWED_TIMEOUT, BOUND_TIMEOUT
from apostille_testbed import Installation, control_plane
from apostille_testbed.installation import ADMISSION, CONTROLLER
from integration.cluster import Cluster, Json, Team, injected
from integration.command import command
from integration.plain_client import Answer, connected, service_account, until

pytestmark = pytest.mark.integration
# What a busy machine adds to a request; the tiers' timeouts are 5 and 10 seconds.
SLACK = 3.0
AUDIT_POLICY: Json = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "resources": [{"group": "", "resources": ["serviceaccounts/token", "pods"]}]}],
}


@pytest.fixture(scope="module")
def audit_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("audit") / "audit.log"


@pytest.fixture(scope="module")
def own(audit_log: Path) -> Iterator[Cluster]:
    """An installation that its tests may kill; whoever does brings it back."""
    policy = audit_log.with_name("policy.yaml")
    policy.write_text(yaml.safe_dump(AUDIT_POLICY))
    flags = [f"--audit-policy-file={policy}", f"--audit-log-path={audit_log}"]
    with (
        control_plane(apiserver_args=flags) as plane,
        Installation(plane, log_level="debug", quick=True) as installation,
        connected(plane.kubeconfig) as api,
    ):
        yield Cluster(installation, api)


@pytest.fixture(scope="module")
def ours(own: Cluster) -> Iterator[Team]:
    """``reader`` is bound, ``writer`` allowed, ``stranger`` elsewhere."""
    with own.team() as team:
        team.declare(team.trust(enforcement={"mode": "Enforce"}), team.binding())
        team.in_force()
        yield team


@pytest.fixture
def alive(own: Cluster, ours: Team) -> Iterator[Installation]:
    """Everything runs before and after."""
    yield own.installation
    installation = own.installation
    for name, start in ((ADMISSION, installation.start_admission), (CONTROLLER, installation.start_controller)):
        if not installation.process(name).running:
            start()
    until(lambda: injected(_answer(ours, "reader").body), "pods of the bound are injected again", 0.1)


def _answer(team: Team, account: str) -> Answer:
    """Of a request over a connection of its own."""
    with connected(team.cluster.installation.control_plane.kubeconfig) as api:
        return api.create(team.pod(account), dry_run=account == "reader")


def _usual(team: Team) -> float:
    """Seconds that a pod elsewhere takes."""
    return statistics.median(_answer(team, "stranger").seconds for _ in range(5))


# First what needs a controller that leads: one that was killed is missed for as long as its lease lasts.


def test_an_undeclared_use_is_recorded_under_audit(alive: Installation, own: Cluster, audit_log: Path) -> None:
    """In the API server's audit log, where the security team looks."""
    key = "validation.policy.admission.k8s.io/validation_failure"
    with own.team() as team:
        trust = team.trust(enforcement={"mode": "Audit"})
        team.declare(trust)
        team.until_ready(trust)
        stranger = team.run("stranger")

        def recorded() -> list[str]:
            # Audit is ready before its policy is in force: nothing waits for it.
            assert team.token(stranger).code == 201
            entries = [json.loads(line) for line in audit_log.read_text().splitlines()]
            return [
                entry["annotations"][key]
                for entry in entries
                if entry["objectRef"].get("namespace") == team.ns and key in entry["annotations"]
            ]

        until(lambda: bool(recorded()), "the audit entry", 0.1)
        (failure,) = json.loads(recorded()[0])
        assert failure["policy"] == "apostille-tokens-audit-0"
        assert failure["message"].startswith("spec.audiences: no live WorkloadBinding grants service account stranger")


def test_nobody_waits_for_a_controller_that_is_not_there(alive: Installation, ours: Team) -> None:
    """It has handed over its lease, so the admission server knows at once, and says so."""
    alive.process(CONTROLLER).stop(grace=10)
    late, other = ours.binding("late", "writer"), ours.trust(f"{ours.ns}-late", audience=f"{ours.audience}/late")

    bound = ours.api.create(late)
    refused = _answer(ours, "writer")
    ours.declare(other)
    later = ours.binding("later", trust=f"{ours.ns}-late", delivery={"mode": "Sidecar"})
    warned = ours.api.create(later, dry_run=False)

    try:
        assert (bound.code, bound.warnings) == (201, ()), "its trust is in force"
        assert refused.code == 403
        assert refused.message == (
            f'admission webhook "allowed-workloads.apostille.dev" denied the request: WorkloadBinding {ours.ns}/late '
            "is activating: its grant is not in force in the API server yet; no Apostille controller is running "
            "(namespace apostille-system)"
        )
        assert warned.code == 201
        assert warned.warnings == (
            f"spec.trustRef.name: FederationTrust {ours.ns}-late is not in force yet; no Apostille controller is "
            "running (namespace apostille-system); pods created before it is have no identity: kubectl get wbind -n "
            f"{ours.ns}",
        )
        assert max(answer.seconds for answer in (bound, refused, warned)) < SLACK
    finally:
        for document in (late, later, other):
            ours.delete(document)


def test_what_is_declared_can_be_taken_back_but_not_changed_with_nobody_there(
    alive: Installation, own: Cluster
) -> None:
    with own.team() as team:
        trust, binding = team.trust(), team.binding()
        for document in (trust, binding):
            document["metadata"]["finalizers"] = ["example.com/cleanup"]
        team.declare(trust, binding)
        alive.kill()

        changed = team.change(binding, suspended=True)
        deleted = [team.api.request("DELETE", team.api.path(document)) for document in (binding, trust)]
        released = [
            team.api.request(
                "PATCH", team.api.path(document), {"metadata": {"finalizers": None}},
                content_type="application/merge-patch+json",
            )
            for document in (binding, trust)
        ]  # fmt: skip

        assert changed.code == 500
        assert 'failed calling webhook "kinds.apostille.dev"' in changed.message
        assert [answer.code for answer in (*deleted, *released)] == [200] * 4
        assert [team.api.request("GET", team.api.path(document)).code for document in (binding, trust)] == [404] * 2


def test_dead_processes_refuse_the_bound_and_hold_up_nobody_else(alive: Installation, ours: Team) -> None:
    usual = _usual(ours)
    alive.kill()

    elsewhere = [_answer(ours, "stranger") for _ in range(5)]
    allowed, bound = _answer(ours, "writer"), _answer(ours, "reader")

    assert [answer.code for answer in elsewhere] == [201] * 5
    assert statistics.median(answer.seconds for answer in elsewhere) < usual + SLACK
    assert allowed.code == 201
    assert not injected(allowed.body)
    assert allowed.seconds < ALLOWED_TIMEOUT
    assert bound.code == 500
    assert 'failed calling webhook "bound-workloads.apostille.dev"' in bound.message
    assert "connection refused" in bound.message


def test_hanging_processes_hold_up_the_allowed_for_their_timeout_only(alive: Installation, ours: Team) -> None:
    """A dead endpoint is noticed at once, a hanging one after the tier's timeout; elsewhere it is never asked."""
    usual = _usual(ours)
    alive.kill(CONTROLLER)
    alive.freeze(ADMISSION)
    try:
        with ThreadPoolExecutor(3) as pool:
            waiting = {account: pool.submit(_answer, ours, account) for account in ("writer", "reader")}
            elsewhere = [_answer(ours, "stranger") for _ in range(5)]
            allowed, bound = waiting["writer"].result(), waiting["reader"].result()
    finally:
        alive.thaw(ADMISSION)

    assert [answer.code for answer in elsewhere] == [201] * 5
    assert statistics.median(answer.seconds for answer in elsewhere) < usual + SLACK
    assert allowed.code == 201
    assert not injected(allowed.body)
    assert ALLOWED_TIMEOUT - SLACK < allowed.seconds < ALLOWED_TIMEOUT + SLACK
    assert bound.code == 500
    assert 'failed calling webhook "bound-workloads.apostille.dev"' in bound.message
    assert bound.message.endswith(("TLS handshake timeout", "context deadline exceeded"))
    assert BOUND_TIMEOUT - SLACK < bound.seconds < BOUND_TIMEOUT + SLACK


def test_grants_hold_as_last_written_with_nobody_there(alive: Installation, ours: Team) -> None:
    pods = {account: ours.run(account) for account in ("reader", "stranger")}
    alive.kill()

    assert ours.token(pods["reader"]).code == 201, "a running workload goes on"
    refused = ours.token(pods["stranger"])
    assert refused.code == 403
    assert "no live WorkloadBinding grants" in refused.message


def test_what_policies_refuse_and_let_through_with_nobody_there(alive: Installation, own: Cluster, ours: Team) -> None:
    """As last written: neither more nor less than with everybody alive."""
    with own.team() as gone, own.team() as audited:
        trust = gone.trust(enforcement={"mode": "Enforce"})
        gone.declare(trust)
        gone.until_ready(trust)
        gone.delete(trust)
        other = audited.trust()
        audited.declare(other)
        audited.until_ready(other)
        pods = {account: ours.run(account) for account in ("reader", "stranger")}
        own.api.ensure(service_account("kube-system", "reader"))
        alive.kill()

        def hand_made(audience: str, seconds: int = 3600) -> Json:
            token = {"serviceAccountToken": {"path": "token", "audience": audience, "expirationSeconds": seconds}}
            return {"volumes": [{"name": "mine", "projected": {"sources": [token]}}]}

        def created(account: str, **spec: object) -> int:
            return ours.api.create(ours.pod(account, **spec), dry_run=True).code

        refused = {
            "a token for a stranger": ours.token(pods["stranger"]).code,
            "a token beside another audience": ours.token(pods["reader"], [ours.audience, "https://x.example"]).code,
            "a token that is bound to no pod": ours.token(None, account="reader").code,
            "a token longer than is granted": ours.token(pods["reader"], seconds=3601).code,
            "a hand-made volume of a stranger": created("stranger", **hand_made(ours.audience)),
            "a volume for an audience whose trust is gone": created("stranger", **hand_made(gone.audience)),
        }
        passed = {
            "a token for the bound": ours.token(pods["reader"]).code,
            "a token for another audience": ours.token(pods["stranger"], ["https://x.example"]).code,
            "a token for an audited audience": ours.token(pods["stranger"], [audited.audience]).code,
            "an ordinary pod": created("stranger"),
            "a volume for an audited audience": created("stranger", **hand_made(audited.audience)),
            "a pod of the system": own.api.create(
                {**ours.pod("reader", **hand_made(ours.audience)), "metadata": {
                    "name": "x", "namespace": "kube-system",
                }}, dry_run=True,
            ).code,
        }  # fmt: skip

        assert refused == dict.fromkeys(refused, 403)
        assert passed == dict.fromkeys(passed, 201)


def test_the_glass_is_broken_with_every_process_dead(alive: Installation, own: Cluster) -> None:
    """docs/runbooks/break-glass.md, step by step; whoever comes back afterwards keeps to it."""
    with own.team() as team:
        trust, binding = team.trust(enforcement={"mode": "Enforce"}), team.binding(delivery={"mode": "Sidecar"})
        team.declare(trust, binding, kept := team.binding("kept", "writer"))
        team.in_force()
        pods = {account: team.run(account) for account in ("reader", "writer")}
        alive.kill()
        words = ("revoke", "binding", "s3-reader", "-n", team.ns, "--yes")
        plain = command(alive.control_plane.kubeconfig, *words)
        assert plain.code == 1
        assert "kinds.apostille.dev" in plain.stderr, "nobody is there to judge the suspension"
        assert team.token(pods["reader"]).ok

        done = command(alive.control_plane.kubeconfig, *words, "--break-glass")

        assert (done.code, done.stderr) == (0, "")
        assert f"pod {team.ns}/{pods['reader']['metadata']['name']}: told to drop its credential" in done.stdout
        until(lambda: not team.token(pods["reader"]).ok, "its tokens are cut off")
        assert "[APO501]" in team.token(pods["reader"]).message
        assert team.token(pods["writer"]).ok, "nobody else's are"
        plan = json.loads(team.get(pods["reader"])["metadata"]["annotations"]["apostille.dev/plan"])
        assert "ended" in json.dumps(plan)
        assert team.get(binding)["spec"]["suspended"] is True

        alive.start_admission()
        alive.start_controller()
        team.until_ready(binding, "Suspended")
        team.until_ready(kept)
        until(alive.judges, "declarations are judged again", 0.1)
        assert not team.token(pods["reader"]).ok
        assert team.change(binding, suspended=False).ok
        until(lambda: team.token(pods["reader"]).ok, "it goes on once somebody says so")


def test_what_is_no_review_is_refused(alive: Installation) -> None:
    assert alive.admission("/mutate", {"kind": "Pod"})[0] == 400
    assert alive.admission("/validate", [])[0] == 400
    assert alive.admission("/mutate", {"padding": "x" * (8 << 20)})[0] == 413
    assert alive.admission("/nowhere")[0] == 404


def _review() -> Json:
    pod = {"metadata": {"name": "p"}, "spec": {"serviceAccountName": "reader", "containers": []}}
    request = {"uid": "1", "namespace": "payments", "operation": "CREATE", "kind": {"kind": "Pod"}, "object": pod}
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def test_an_admission_server_that_knows_nothing_yet_says_so(alive: Installation, own: Cluster) -> None:
    """Started while the API server is down: alive, not ready, and no review is answered from an empty copy."""
    plane = own.installation.control_plane
    alive.kill(ADMISSION)
    plane.stop_apiserver()
    try:
        alive.start_admission(wait=False)
        until(lambda: alive.admission("/livez")[0] == 200, "it lives", 0.05)

        assert alive.admission("/readyz") == (
            503, "waiting for the issuer and the local copies of trusts and bindings",
        )  # fmt: skip
        for path in ("/mutate", "/mutate/allowed", "/validate", "/probe/any/0"):
            code, said = alive.admission(path, _review())
            assert code == 503
            assert "waiting for the issuer and the local copies of trusts and bindings" in said
    finally:
        plane.start_apiserver()
        own.api.close()  # its connection has gone with the old one
    until(alive.ready, "it is ready", 0.05)


TOKEN = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}")


def _said(installation: Installation, own: Cluster) -> dict[str, str]:
    """Everything that Apostille has written anywhere."""
    return {
        "the controller's log": installation.log(CONTROLLER),
        "the admission server's log": installation.log(ADMISSION),
        "admission's metrics": installation.metrics(),
        "the controller's metrics": installation.controller("/metrics")[1],
        "declarations": own.kubectl("get", "ftrust,wbind", "-A", "-o", "yaml").stdout,
        "events": own.kubectl("get", "events", "-A", "-o", "yaml").stdout,
        "rendered access": own.kubectl("get", "configmaps,leases", "-n", "apostille-system", "-o", "yaml").stdout,
        "pods": own.kubectl("get", "pods", "-A", "-o", "yaml").stdout,
        "policies and webhooks": own.kubectl(
            "get", "validatingadmissionpolicies,validatingadmissionpolicybindings,mutatingwebhookconfigurations,"
            "validatingwebhookconfigurations", "-o", "yaml",
        ).stdout,
    }  # fmt: skip


def test_no_token_is_written_anywhere(alive: Installation, own: Cluster, ours: Team) -> None:
    """Neither those of workloads nor Apostille's own, at the highest log level, errors and kills included."""
    issued = [ours.token(ours.run()).body["status"]["token"] for _ in range(3)]
    kubeconfigs = own.installation.control_plane.directory.glob("serviceaccount-apostille-system-*.kubeconfig")
    issued += [yaml.safe_load(path.read_text())["users"][0]["user"]["token"] for path in kubeconfigs]
    assert len(issued) == 5
    assert all(TOKEN.fullmatch(token) for token in issued)

    until(lambda: alive.controller("/metrics")[0] == 200, "the controller's metrics", 0.05)
    for where, text in _said(alive, own).items():
        assert len(text) > 100, where
        assert not TOKEN.search(text), where
        assert not [token for token in issued if token.rpartition(".")[2] in text], where


def test_the_processes_have_no_more_rights_than_they_are_given(own: Cluster) -> None:
    """What would be worst in the wrong hands: other identities' tokens, secrets, pods, workloads."""

    def may(account: str, verb: str, resource: str) -> bool:
        group, _, plural = resource.rpartition("/")
        plural, _, subresource = plural.partition(":")
        asked = {"verb": verb, "group": group, "resource": plural, "subresource": subresource}
        user = f"system:serviceaccount:apostille-system:{account}"
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "groups": ["system:serviceaccounts"], "resourceAttributes": asked},
        }
        answer = own.api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        return bool(answer.body["status"]["allowed"])

    worst = [
        ("create", "serviceaccounts:token"), ("get", "secrets"), ("list", "secrets"), ("create", "pods"),
        ("create", "pods:exec"), ("delete", "pods"), ("impersonate", "users"), ("impersonate", "serviceaccounts"),
        ("escalate", "rbac.authorization.k8s.io/clusterroles"), ("bind", "rbac.authorization.k8s.io/clusterroles"),
        ("update", "apostille.dev/federationtrusts"), ("create", "apostille.dev/workloadbindings"),
    ]  # fmt: skip
    for account in (CONTROLLER, ADMISSION):
        assert {what: may(account, *what) for what in worst} == dict.fromkeys(worst, False)
    assert may(CONTROLLER, "patch", "pods")
    assert not may(ADMISSION, "patch", "pods")
