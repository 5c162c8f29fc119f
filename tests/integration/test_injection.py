"""What pods get on the real API server, next to everything else that has a say about them."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from integration.cluster import Cluster, Json, Team, injected, role
from integration.plain_client import Answer, until
from integration.second_webhook import second_webhook

pytestmark = pytest.mark.integration
PLAN = "apostille.dev/plan"
TOKEN_AT = "/var/run/secrets/apostille.dev/s3-reader"


def without_ours(pod: Mapping[str, Any]) -> Json:
    """The pod as its author and the API server made it."""
    copy: Json = json.loads(json.dumps({"metadata": pod["metadata"], "spec": pod["spec"]}))
    metadata, spec = copy["metadata"], copy["spec"]
    for key in ("annotations", "labels"):
        metadata[key] = {k: v for k, v in metadata.get(key, {}).items() if "apostille.dev/" not in k}
    for key in ("uid", "resourceVersion", "creationTimestamp", "managedFields", "name", "generation"):
        metadata.pop(key, None)
    spec["volumes"] = [v for v in spec["volumes"] if not v["name"].startswith("apostille-")]
    random = [v["name"] for v in spec["volumes"] if v["name"].startswith("kube-api-access-")]
    spec["initContainers"] = [c for c in spec.get("initContainers", ()) if not c["name"].startswith("apostille-")]
    for container in (*spec["initContainers"], *spec["containers"]):
        mounts = [m for m in container.get("volumeMounts", ()) if not m["name"].startswith("apostille-")]
        container["volumeMounts"] = mounts
        container["env"] = [v for v in container.get("env", ()) if not v["name"].startswith("AWS_")]
    text = json.dumps(copy)
    for name in random:
        text = text.replace(name, "kube-api-access")
    result: Json = json.loads(text)
    return result


def container_of(pod: Mapping[str, Any], name: str = "app") -> Json:
    """One container, whichever kind."""
    every = (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"])
    return next(container for container in every if container["name"] == name)


def environment(container: Mapping[str, Any]) -> dict[str, str]:
    """Names and values."""
    return {variable["name"]: variable.get("value", "") for variable in container.get("env", ())}


def mounted(container: Mapping[str, Any]) -> dict[str, str]:
    """Volume → path, of ours."""
    mounts = container.get("volumeMounts", ())
    return {mount["name"]: mount["mountPath"] for mount in mounts if mount["name"].startswith("apostille-")}


@pytest.fixture(scope="module")
def files(settled: Team) -> str:
    """A second binding of the team, delivered by the sidecar to the service account ``writer``; its name."""
    binding = settled.binding("s3-files", "writer", delivery={"mode": "Sidecar", "containers": {"include": ["app"]}})
    settled.declare(binding)
    settled.until_ready(binding)
    return "s3-files"


def test_an_ordinary_pod_gets_exactly_its_identity(settled: Team) -> None:
    pod, plain = settled.run(), settled.run("stranger")

    app = container_of(pod)
    assert environment(app) == {
        "AWS_ROLE_ARN": role(),
        "AWS_WEB_IDENTITY_TOKEN_FILE": f"{TOKEN_AT}/token",
        "AWS_ROLE_SESSION_NAME": f"{settled.ns}.s3-reader",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_STS_REGIONAL_ENDPOINTS": "regional",
    }
    assert mounted(app) == {"apostille-token-s3-reader": TOKEN_AT}
    ours = [volume for volume in pod["spec"]["volumes"] if volume["name"].startswith("apostille-")]
    token = {"audience": settled.audience, "expirationSeconds": 3600, "path": "token"}
    assert ours == [
        {
            "name": "apostille-token-s3-reader",
            "projected": {"defaultMode": 420, "sources": [{"serviceAccountToken": token}]},
        }
    ]
    assert pod["metadata"]["labels"] == {"apostille.dev/injected": "true"}
    assert list(pod["metadata"]["annotations"]) == [PLAN]
    # Beside that it is the pod that it would be elsewhere.
    unaffected = without_ours(pod)
    unaffected["spec"] |= {"serviceAccount": "stranger", "serviceAccountName": "stranger"}
    assert unaffected == without_ours(plain)


def test_only_the_sidecar_sees_the_token(settled: Team, files: str) -> None:
    pod = settled.run("writer", containers=[{"name": "app", "image": "app"}, {"name": "proxy", "image": "proxy"}])

    sidecar, app, other = (container_of(pod, name) for name in ("apostille-exchange", "app", "proxy"))
    assert sidecar["restartPolicy"] == "Always"
    assert mounted(sidecar) == {
        f"apostille-token-{files}": f"/var/run/secrets/apostille.dev/{files}",
        "apostille-files": "/etc/apostille.dev",
        "apostille-credentials": "/var/run/apostille.dev",
        f"apostille-credentials-{files}": f"/var/run/apostille.dev/{files}",
    }
    assert mounted(app) == {f"apostille-credentials-{files}": f"/var/run/apostille.dev/{files}"}
    assert environment(app)["AWS_SHARED_CREDENTIALS_FILE"] == f"/var/run/apostille.dev/{files}/credentials"
    assert (mounted(other), environment(other)) == ({}, {})


def test_the_sidecar_comes_before_other_init_containers_and_after_known_proxies(settled: Team, files: str) -> None:
    names = ("istio-init", "migrate")
    pod = settled.run("writer", initContainers=[{"name": name, "image": name} for name in names])

    assert [c["name"] for c in pod["spec"]["initContainers"]] == ["istio-init", "apostille-exchange", "migrate"]


@contextmanager
def both(cluster: Cluster, labels: Mapping[str, str] | None = None) -> Iterator[Team]:
    """A team whose reader has the SDK's delivery and whose writer has the sidecar's, in all containers."""
    with cluster.team(labels) as team:
        bindings = [team.binding(), team.binding("s3-files", "writer", delivery={"mode": "Sidecar"})]
        team.declare(team.trust(), *bindings)
        for binding in bindings:
            team.until_ready(binding)
        yield team


def test_a_pod_that_passes_restricted_still_passes(cluster: Cluster) -> None:
    """Pod Security Admission judges after mutation (KEP-2579)."""
    level = "pod-security.kubernetes.io"
    security = {
        "runAsNonRoot": True, "allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    spec: Json = {"containers": [{"name": "app", "image": "app", "securityContext": security}]}
    owner: Json = {"securityContext": {"runAsUser": 1001, "fsGroup": 2000}}
    with both(cluster, {f"{level}/enforce": "restricted", f"{level}/enforce-version": "latest"}) as strict:
        assert strict.api.create(strict.pod()).code == 403, "the namespace is not restricted at all"
        for account in ("reader", "writer"):
            for pod in (strict.pod(account, **spec), strict.pod(account, **spec | owner)):
                answer = strict.api.create(pod)
                assert (answer.code, answer.message, answer.warnings) == (201, "", ())
                assert injected(answer.body)


FRUGAL: Json = {
    "LimitRange": {
        "limits": [
            {
                "type": "Container",
                "default": {"cpu": "200m", "memory": "128Mi"},
                "defaultRequest": {"cpu": "50m", "memory": "64Mi"},
                "max": {"cpu": "1", "memory": "1Gi"},
                "min": {"cpu": "1m", "memory": "1Mi"},
            }
        ]
    },
    "ResourceQuota": {
        "hard": {"limits.cpu": "1", "limits.memory": "1Gi", "requests.cpu": "500m", "requests.memory": "512Mi"}
    },
}


def _limit(team: Team) -> str:
    """Limits and quota for the team's namespace; returns the quota's path."""
    metadata = {"name": "frugal", "namespace": team.ns}
    for kind, spec in FRUGAL.items():
        team.declare({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec})
    path = f"/api/v1/namespaces/{team.ns}/resourcequotas/frugal"
    # What is used is counted by the controller manager, which is not there, and then kept by the API server.
    hard = FRUGAL["ResourceQuota"]["hard"]
    body = {"status": {"hard": hard, "used": dict.fromkeys(hard, "0")}}
    assert team.api.request("PATCH", f"{path}/status", body, content_type="application/merge-patch+json").ok
    return path


def test_limits_and_quotas_of_the_namespace_count_the_sidecar_too(cluster: Cluster) -> None:
    with both(cluster) as frugal:
        quota = _limit(frugal)

        def run(account: str) -> Json:
            # The API server's own view of a quota may be a moment old: without one, it refuses.
            made: list[Answer] = []
            until(lambda: made.append(frugal.api.create(frugal.pod(account))) or made[-1].ok, "a pod within the quota")
            return dict(made[-1].body)

        for account, requests in (("reader", "50m"), ("writer", "105m")):
            pod = run(account)
            assert injected(pod)
            assert container_of(pod)["resources"] == {
                "limits": {"cpu": "200m", "memory": "128Mi"}, "requests": {"cpu": "50m", "memory": "64Mi"},
            }  # fmt: skip
            assert frugal.api.request("GET", quota).body["status"]["used"]["requests.cpu"] == requests
        assert container_of(pod, "apostille-exchange")["resources"] == {
            "requests": {"cpu": "5m", "memory": "24Mi"},
            # What we leave open is the namespace's.
            "limits": {"cpu": "200m", "memory": "64Mi"},
        }


def test_a_container_that_another_webhook_adds_gets_the_identity_too(cluster: Cluster) -> None:
    """``reinvocationPolicy: IfNeeded``: we are asked again, and do everything exactly once."""
    late = {"op": "add", "path": "/spec/containers/-", "value": {"name": "late", "image": "late"}}
    with both(cluster) as team, second_webhook(team.api, team.ns, late) as calls:
        pods = {account: team.run(account) for account in ("reader", "writer")}

        assert len(calls) >= 2, "the other webhook was not asked"
        for account, mounts in (
            ("reader", {"apostille-token-s3-reader": TOKEN_AT}),
            ("writer", {"apostille-credentials-s3-files": "/var/run/apostille.dev/s3-files"}),
        ):
            app, added = container_of(pods[account]), container_of(pods[account], "late")
            assert environment(added) == environment(app) != {}
            assert mounted(added) == mounted(app) == mounts
            assert len(app["env"]) == len(environment(app))
            for section in ("initContainers", "containers", "volumes"):
                names = [entry["name"] for entry in pods[account]["spec"].get(section, ())]
                assert len(names) == len(set(names))


def test_a_pod_of_a_template_has_no_name_and_no_namespace_yet(settled: Team) -> None:
    """As ReplicaSets and Jobs create them."""
    pod = settled.pod()
    pod["metadata"] = {"generateName": "web-6d5f7-", "labels": {"app": "web"}}

    answer = settled.api.request("POST", f"/api/v1/namespaces/{settled.ns}/pods", pod)

    assert answer.ok, answer.message
    assert injected(answer.body)
    assert answer.body["metadata"]["labels"] == {"app": "web", "apostille.dev/injected": "true"}
    settled.delete(answer.body)


def test_a_dry_run_shows_what_would_be(settled: Team) -> None:
    shown = settled.cluster.kubectl(
        "run", "trial", "-n", settled.ns, "--image=app", "--dry-run=server", "-o", "json",
        '--overrides={"spec": {"serviceAccountName": "reader"}}',
    )  # fmt: skip

    assert injected(json.loads(shown.stdout))
    assert settled.api.request("GET", f"/api/v1/namespaces/{settled.ns}/pods/trial").code == 404


def reviews(settled: Team) -> int:
    """Pods that the admission server was asked about."""
    total = 0.0
    for line in settled.cluster.installation.metrics().splitlines():
        if line.startswith("apostille_admission_requests_total{") and 'webhook="mutate"' in line:
            total += float(line.rpartition(" ")[2])
    return int(total)


def test_elsewhere_nothing_is_asked_and_nothing_is_changed(settled: Team, team: Team) -> None:
    """``team`` has declared nothing: none of its pods is anybody's business."""
    before = reviews(settled)
    elsewhere = [settled.run("stranger"), settled.run(None), team.run("reader"), team.run(None)]
    after = reviews(settled)
    bound = settled.run()

    assert after == before
    assert reviews(settled) > before
    assert injected(bound)
    assert [p["metadata"].get("annotations") for p in elsewhere] == [None] * 4
    assert not [v for p in elsewhere for v in p["spec"]["volumes"] if v["name"].startswith("apostille-")]


def test_many_pods_at_once_all_have_it(settled: Team) -> None:
    pods = [settled.run() for _ in range(20)]

    assert all(injected(pod) for pod in pods)
    binding = settled.binding()
    counted = len(settled.api.request("GET", f"/api/v1/namespaces/{settled.ns}/pods").body["items"])
    until(lambda: settled.get(binding)["status"]["pods"]["injected"] >= 20, "the pods are counted", 0.1)
    counts = settled.get(binding)["status"]["pods"]
    assert counts["matched"] == counts["injected"] <= counted
    assert (counts["stale"], counts["missing"]) == (0, 0)


def test_a_large_pod_is_read_whole(settled: Team) -> None:
    """Near what etcd takes (1.5 MB); the review holds it once, an answer holds only the patch."""
    text = secrets.token_hex(50_000)
    variables = [{"name": f"BIG_{n}", "value": text} for n in range(9)]
    pod = settled.run(containers=[{"name": "app", "image": "app", "env": variables}])

    assert injected(pod)
    assert len(container_of(pod)["env"]) == 9 + 6


def test_two_bindings_of_one_account_are_both_given(team: Team) -> None:
    bindings = [
        team.binding("first", delivery={"containers": {"include": ["app"]}}),
        team.binding("second", delivery={"containers": {"include": ["other"]}}),
    ]
    team.declare(team.trust(), *bindings)

    pod = team.run(containers=[{"name": "app", "image": "app"}, {"name": "other", "image": "other"}])

    assert mounted(container_of(pod)) == {"apostille-token-first": "/var/run/secrets/apostille.dev/first"}
    assert mounted(container_of(pod, "other")) == {"apostille-token-second": "/var/run/secrets/apostille.dev/second"}


def test_a_binding_that_comes_after_another_is_not_forgotten(team: Team) -> None:
    """The local copies know the first one only; the pod comes in the same breath as the second."""
    first = team.binding("first", delivery={"containers": {"include": ["app"]}})
    team.declare(team.trust(), first)
    team.until_ready(first)

    team.declare(team.binding("second", delivery={"containers": {"include": ["other"]}}))
    pod = team.run(containers=[{"name": "app", "image": "app"}, {"name": "other", "image": "other"}])

    assert [mounted(c) != {} for c in pod["spec"]["containers"]] == [True, True]


def test_a_trust_that_comes_to_allow_more_is_known_at_once(team: Team) -> None:
    trust = team.trust(allow=[team.allow("writer")])
    team.declare(trust)
    team.until_ready(trust)

    assert team.change(trust, allow=[team.allow("writer", "reader")]).ok
    team.declare(team.binding())

    assert injected(team.run())


@pytest.fixture
def mirror(settled: Team) -> Iterator[Json]:
    pod = settled.pod()
    pod["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "0123456789abcdef"}
    yield pod
    settled.delete(pod)


def test_the_mirror_of_a_static_pod_is_left_alone(settled: Team, mirror: Json) -> None:
    """It cannot hold tokens, and refusing it would break its node."""
    del mirror["spec"]["serviceAccountName"]  # the API server allows none in a mirror
    mirror["spec"]["nodeName"] = "n1"

    answer = settled.api.create(mirror)

    assert answer.ok, answer.message
    assert not injected(answer.body)
