"""Running pods have their identity at real servers: by the SDK at MinIO, by the sidecar's file at Vault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from apostille_testbed import Node
from apostille_testbed.node.self_hosted import MINIO, SelfHosted
from node.pods_scene import (
    LISTS,
    NAMESPACE,
    OBJECT,
    READS,
    SECRET,
    accounts,
    allowed,
    application,
    binding,
    in_force,
    inside,
    kubectl,
    minio_trust,
    vault_audience,
    vault_trust,
)
from node.scene import RESTRICTED, apply, forget, forget_namespaces, log, met, output, ready, stored, until

pytestmark = pytest.mark.usefixtures("world")

MOUNT = "jwt-cluster-a"
STRICT, ELSEWHERE = "strict", "elsewhere"
OWNERS: list[tuple[str, dict[str, int], str, str]] = [
    ("by-user", {"runAsUser": 1000}, "1000", "600"),
    ("by-group", {"fsGroup": 2000}, "65532", "640"),
    ("by-neither", {}, "65532", "644"),
]
"""Pod, its security context, and who owns its credential files with which mode."""

SHOWS = "env; find /var/run/secrets /var/run -name '*apostille*'"
TOKEN_FILE = "/var/run/apostille.dev/database/token"


def lists(name: str, **spec: Any) -> dict[str, Any]:
    return application(name, "reader", "python3", "-c", LISTS, **spec)


def tells(name: str, **spec: Any) -> dict[str, Any]:
    return application(name, "teller", "python3", "-c", READS, **spec)


def first(wanted: dict[str, Any]) -> dict[str, Any]:
    """The same with its container as an init container, before one that does nothing."""
    (container,) = wanted["spec"]["containers"]
    wanted["spec"]["initContainers"] = [{**container, "name": "first"}]
    wanted["spec"]["containers"] = [{**container, "command": ["true"]}]
    return wanted


def restricted(wanted: dict[str, Any]) -> dict[str, Any]:
    """The same as Pod Security `restricted` asks for it."""
    wanted["spec"]["containers"][0]["securityContext"] = RESTRICTED
    return wanted


def job() -> dict[str, Any]:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "settles", "namespace": NAMESPACE},
        "spec": {"template": {"spec": tells("")["spec"]}},
    }


def intruder(node: Node) -> tuple[dict[str, Any], dict[str, Any]]:
    """A pod of ``stranger`` with a token for MinIO, and the authority that it trusts."""
    told = json.loads(kubectl(node, "get", "ftrust", "minio-prod", "-o", "json").stdout)
    authority = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "minio", "namespace": NAMESPACE},
        "data": {"ca.pem": told["spec"]["relyingParty"]["minio"]["caBundle"]},
    }
    wanted = application(
        "intrudes",
        "stranger",
        "python3",
        "-c",
        LISTS,
        volumes=[
            {"name": "stolen", "secret": {"secretName": "stranger"}},
            {"name": "authority", "configMap": {"name": "minio"}},
        ],
    )
    wanted["spec"]["containers"][0] |= {
        "env": [
            {"name": name, "value": value}
            for name, value in {
                "AWS_ROLE_ARN": "arn:minio:iam:::role/ledger-reader",
                "AWS_WEB_IDENTITY_TOKEN_FILE": "/stolen/token",
                "AWS_REGION": "us-east-1",
                "AWS_ENDPOINT_URL": MINIO,
                "AWS_CA_BUNDLE": "/authority/ca.pem",
            }.items()
        ],
        "volumeMounts": [
            {"name": "stolen", "mountPath": "/stolen"},
            {"name": "authority", "mountPath": "/authority"},
        ],
    }
    return authority, wanted


@pytest.fixture(scope="module")
def world(servers: SelfHosted) -> Iterator[SelfHosted]:
    """``reader`` is bound to MinIO, ``teller`` to Vault, in two namespaces, the second of which is ``restricted``.

    Pods that run to their end are all begun here: together they take little longer than one.
    """
    node = servers.node
    node.create_namespace(STRICT, {"pod-security.kubernetes.io/enforce": "restricted"})
    node.create_namespace(ELSEWHERE)
    spaces = (NAMESPACE, STRICT)
    for of in (*spaces, ELSEWHERE):
        accounts(node, "reader", "teller", "stranger", namespace=of)
    # Before there is a trust nobody refuses it: the only way to a token that nobody declared.
    token = kubectl(node, "create", "token", "stranger", f"--audience={MINIO}").stdout.strip()
    kubectl(node, "create", "secret", "generic", "stranger", f"--from-literal=token={token}")
    in_force(
        servers,
        minio_trust(servers, [allowed("ledger-reader", "reader", namespace=of) for of in spaces]),
        *(
            binding("files", "minio-prod", {"minio": {"policy": "ledger-reader"}}, "reader", namespace=of)
            for of in spaces
        ),
    )
    in_force(
        servers,
        vault_trust(servers, "vault-prod", MOUNT, [allowed("payments", "teller", namespace=of) for of in spaces]),
        *(binding("database", "vault-prod", {"vault": {"role": "payments"}}, "teller", namespace=of) for of in spaces),
    )
    # Vault's administrator lets tokens live for 20 seconds at first: they are renewed while others look.
    role = json.loads(servers.rendered("vault-prod")["role-payments.json"])
    vault = servers.vault
    assert vault.call("POST", f"auth/{MOUNT}/role/payments", vault.root_token, {**role, "token_ttl": 20}).status < 300
    refused = apply(
        node,
        lists("lists"),
        tells("tells"),
        first(lists("lists-first")),
        first(tells("tells-first")),
        restricted(lists("strict-reader", namespace=STRICT)),
        restricted(tells("strict-teller", namespace=STRICT)),
        job(),
        *(application(name, "teller", securityContext=security) for name, security, _, _ in OWNERS),
        application("looks", "teller"),
        application("leaves", "teller"),
        *intruder(node),
        *(
            application(f"bare-{account}", account, "sh", "-c", SHOWS, namespace=ELSEWHERE)
            for account in ("reader", "teller")
        ),
    )
    assert "PodSecurity" not in refused
    yield servers
    forget_namespaces(node, STRICT, ELSEWHERE)
    forget(node, NAMESPACE, "minio-prod", "vault-prod")


def test_unmodified_boto3_lists_a_bucket_of_minio(node: Node) -> None:
    assert output(node, "lists", NAMESPACE) == f"{OBJECT}\n"


@pytest.mark.parametrize(("name", "said"), [("lists", OBJECT), ("tells", SECRET["password"])])
def test_an_init_container_has_credentials(node: Node, name: str, said: str) -> None:
    assert output(node, f"{name}-first", NAMESPACE, "first") == f"{said}\n"


def test_a_secret_of_vault_through_the_sidecars_file(node: Node) -> None:
    assert output(node, "tells", NAMESPACE) == f"{SECRET['password']}\n"


def test_a_job_with_the_sidecar_completes(node: Node) -> None:
    met(node, "jobs/settles", NAMESPACE, "Complete")
    told = json.loads(kubectl(node, "get", "pods", "-l", "job-name=settles", "-o", "json").stdout)["items"]
    assert [pod["status"]["phase"] for pod in told] == ["Succeeded"]
    sidecar = told[0]["status"]["initContainerStatuses"][0]
    assert (sidecar["name"], sidecar["restartCount"]) == ("apostille-exchange", 0)
    assert kubectl(node, "logs", "job/settles", "-c", "app").stdout == f"{SECRET['password']}\n"


@pytest.mark.parametrize(("account", "said"), [("reader", OBJECT), ("teller", SECRET["password"])])
def test_a_pod_under_restricted_stays_under_it(node: Node, account: str, said: str) -> None:
    assert output(node, f"strict-{account}", STRICT) == f"{said}\n"


def test_a_pod_of_another_namespace_gets_nothing(node: Node) -> None:
    for name in ("bare-reader", "bare-teller"):
        said = output(node, name, ELSEWHERE)

        assert "HOSTNAME" in said
        assert not [word for word in ("apostille", "AWS_", "VAULT_") if word in said]
        pod = stored(node, f"pods/{name}", ELSEWHERE)
        assert "initContainers" not in pod["spec"]
        assert not [key for key in pod["metadata"].get("annotations", {}) if "apostille" in key]


def test_minio_refuses_another_subject_with_the_right_audience(node: Node) -> None:
    """The token is genuine and from before the trust: only the subject is not the bound one."""
    said = output(node, "intrudes", NAMESPACE)

    assert "AssumeRoleWithWebIdentity" in said
    assert "None of the given policies" in said
    assert OBJECT not in said


@pytest.mark.parametrize("audience", [MINIO, vault_audience(MOUNT)])
def test_a_pod_cannot_ask_for_the_audience_by_itself(node: Node, audience: str) -> None:
    source = {"serviceAccountToken": {"audience": audience, "path": "token"}}
    wanted = application("asks", "stranger", volumes=[{"name": "mine", "projected": {"sources": [source]}}])

    said = apply(node, wanted, check=False)

    assert f"service account stranger of namespace {NAMESPACE}" in said
    assert "[APO501]" in said


@pytest.mark.parametrize(("name", "security", "owner", "mode"), OWNERS, ids=[name for name, *_ in OWNERS])
def test_files_belong_to_who_reads_them(node: Node, name: str, security: dict[str, Any], owner: str, mode: str) -> None:
    ready(node, name, NAMESPACE)

    group, *numbers = inside(node, name, "stat", "-c", "%g %u %a", TOKEN_FILE).split()

    assert numbers == [owner, mode]
    assert "fsGroup" not in security or group == "2000"
    assert inside(node, name, "sh", "-c", f"head -c 4 {TOKEN_FILE}") == "hvs."


def test_the_container_has_no_assertion_and_writes_no_credential(node: Node) -> None:
    ready(node, "looks", NAMESPACE)

    assert "No such file" in inside(node, "looks", "ls", "/var/run/secrets/apostille.dev")
    assert "Read-only file system" in inside(node, "looks", "touch", f"{TOKEN_FILE}.x")


def test_a_token_is_renewed_in_the_running_pod(world: SelfHosted, node: Node) -> None:
    """It lives longer than Vault granted at first, and is the same."""
    ready(node, "looks", NAMESPACE)
    token = inside(node, "looks", "cat", TOKEN_FILE)

    def results() -> list[str]:
        lines = log(node, "looks", NAMESPACE, "apostille-exchange").splitlines()
        return [json.loads(line).get("result", "") for line in lines]

    until(lambda: results().count("Renewed") >= 2, "two renewals")

    assert results().count("Exchanged") == 1
    assert inside(node, "looks", "cat", TOKEN_FILE) == token
    assert inside(node, "looks", "python3", "-c", READS) == f"{SECRET['password']}\n"
    assert token not in kubectl(node, "logs", "looks", "-c", "apostille-exchange").stdout


def test_what_ends_with_its_pod_is_revoked(world: SelfHosted, node: Node) -> None:
    ready(node, "leaves", NAMESPACE)
    token = inside(node, "leaves", "cat", TOKEN_FILE)
    assert world.vault.read_secret("payments", token).status == 200

    node.kubectl("delete", "pod", "leaves", f"--namespace={NAMESPACE}", "--grace-period=10")

    until(lambda: world.vault.read_secret("payments", token).status == 403, "the token to be revoked")


def test_status_counts_what_runs(node: Node) -> None:
    kubectl(node, "delete", "pod", "--all", "--wait=false")
    apply(node, application("counted", "teller"))

    def counted() -> bool:
        told = stored(node, "workloadbindings/database", NAMESPACE)
        return bool(told["status"].get("pods", {}).get("injected") == 1)

    until(counted, "one injected pod")
