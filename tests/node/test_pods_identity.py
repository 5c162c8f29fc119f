"""Running pods have their identity at real servers: by the SDK at MinIO, by the sidecar's file at Vault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from apostille_testbed import Node
from apostille_testbed.chart import Release
from apostille_testbed.node.derived import APPLICATION
from apostille_testbed.node.self_hosted import MINIO, SelfHosted
from node.pods_scene import (
    LISTS,
    NAMESPACE,
    OBJECT,
    READS,
    SECRET,
    VAULT_AUDIENCE,
    accounts,
    allowed,
    application,
    binding,
    in_force,
    inside,
    kubectl,
    minio_trust,
    servers,
    vault_trust,
)
from node.scene import RESTRICTED, apply, output, ready, until

pytestmark = pytest.mark.usefixtures("world")

STRICT = "strict"
TOKEN_FILE = "/var/run/apostille.dev/database/token"


@pytest.fixture(scope="module")
def world(release: Release) -> Iterator[SelfHosted]:
    """``reader`` is bound to MinIO, ``teller`` to Vault, in two namespaces, the second of which is ``restricted``."""
    with servers(release) as running:
        node = running.node
        node.create_namespace(STRICT, {"pod-security.kubernetes.io/enforce": "restricted"})
        for namespace in (NAMESPACE, STRICT):
            accounts(node, "reader", "teller", "stranger", namespace=namespace)
        # Before there is a trust nobody refuses it: the only way to a token that nobody declared.
        token = kubectl(node, "create", "token", "stranger", f"--audience={MINIO}").stdout.strip()
        kubectl(node, "create", "secret", "generic", "stranger", f"--from-literal=token={token}")
        in_force(
            running,
            minio_trust(running, [allowed("ledger-reader", "reader", namespace=name) for name in (NAMESPACE, STRICT)]),
            *(
                binding("files", "minio-prod", {"minio": {"policy": "ledger-reader"}}, "reader", namespace=namespace)
                for namespace in (NAMESPACE, STRICT)
            ),
        )
        in_force(
            running,
            vault_trust(running, [allowed("payments", "teller", namespace=name) for name in (NAMESPACE, STRICT)]),
            *(
                binding("database", "vault-prod", {"vault": {"role": "payments"}}, "teller", namespace=namespace)
                for namespace in (NAMESPACE, STRICT)
            ),
        )
        yield running


def test_unmodified_boto3_lists_a_bucket_of_minio(node: Node) -> None:
    apply(node, application("lists", "reader", "python3", "-c", LISTS))

    assert output(node, "lists", NAMESPACE) == f"{OBJECT}\n"


def test_an_init_container_has_credentials(node: Node) -> None:
    wanted = application("prepares", "reader", "true")
    wanted["spec"]["initContainers"] = [
        {"name": "prepare", "image": APPLICATION, "imagePullPolicy": "Never", "command": ["python3", "-c", LISTS]}
    ]
    apply(node, wanted)

    assert output(node, "prepares", NAMESPACE, "prepare") == f"{OBJECT}\n"


def test_an_init_container_has_the_sidecars_file(node: Node) -> None:
    wanted = application("unlocks", "teller", "true")
    wanted["spec"]["initContainers"] = [
        {"name": "unlock", "image": APPLICATION, "imagePullPolicy": "Never", "command": ["python3", "-c", READS]}
    ]
    apply(node, wanted)

    assert output(node, "unlocks", NAMESPACE, "unlock") == f"{SECRET['password']}\n"


def test_a_secret_of_vault_through_the_sidecars_file(node: Node) -> None:
    apply(node, application("tells", "teller", "python3", "-c", READS))

    assert output(node, "tells", NAMESPACE) == f"{SECRET['password']}\n"


def test_a_job_with_the_sidecar_completes(node: Node) -> None:
    template = application("", "teller", "python3", "-c", READS)["spec"]
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "settles", "namespace": NAMESPACE},
        "spec": {"template": {"spec": template}},
    }
    apply(node, job)

    node.kubectl("wait", "--for=condition=Complete", "job/settles", f"--namespace={NAMESPACE}", "--timeout=60s")
    told = json.loads(kubectl(node, "get", "pods", "-l", "job-name=settles", "-o", "json").stdout)["items"]
    assert [pod["status"]["phase"] for pod in told] == ["Succeeded"]
    sidecar = told[0]["status"]["initContainerStatuses"][0]
    assert (sidecar["name"], sidecar["restartCount"]) == ("apostille-exchange", 0)
    assert kubectl(node, "logs", "job/settles", "-c", "app").stdout == f"{SECRET['password']}\n"


@pytest.mark.parametrize(("account", "script", "said"), [("reader", LISTS, OBJECT), ("teller", READS, "correct horse")])
def test_a_pod_under_restricted_stays_under_it(node: Node, account: str, script: str, said: str) -> None:
    wanted = application(f"strict-{account}", account, "python3", "-c", script, namespace=STRICT)
    wanted["spec"]["containers"][0]["securityContext"] = RESTRICTED

    assert "PodSecurity" not in apply(node, wanted)

    assert output(node, f"strict-{account}", STRICT) == f"{said}\n"


def test_a_pod_of_another_namespace_gets_nothing(node: Node) -> None:
    node.create_namespace("elsewhere")
    accounts(node, "reader", "teller", namespace="elsewhere")
    for account in ("reader", "teller"):
        name = f"bare-{account}"
        command = ("sh", "-c", "env; find /var/run/secrets /var/run -name '*apostille*'")
        apply(node, application(name, account, *command, namespace="elsewhere"))

        said = output(node, name, "elsewhere")

        assert "HOSTNAME" in said
        assert not [word for word in ("apostille", "AWS_", "VAULT_") if word in said]
        stored = json.loads(node.kubectl("get", "pod", name, "--namespace=elsewhere", "-o", "json").stdout)
        assert "initContainers" not in stored["spec"]
        assert not [key for key in stored["metadata"]["annotations"] if "apostille" in key]


def test_minio_refuses_another_subject_with_the_right_audience(world: SelfHosted, node: Node) -> None:
    """The token is genuine and from before the trust: only the subject is not the bound one."""
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
    apply(node, authority, wanted)

    said = output(node, "intrudes", NAMESPACE)

    assert "AssumeRoleWithWebIdentity" in said
    assert "None of the given policies" in said
    assert OBJECT not in said


@pytest.mark.parametrize("audience", [MINIO, VAULT_AUDIENCE])
def test_a_pod_cannot_ask_for_the_audience_by_itself(node: Node, audience: str) -> None:
    source = {"serviceAccountToken": {"audience": audience, "path": "token"}}
    wanted = application("asks", "stranger", volumes=[{"name": "mine", "projected": {"sources": [source]}}])

    said = apply(node, wanted, check=False)

    assert "service account stranger of namespace payments" in said
    assert "[APO501]" in said


@pytest.mark.parametrize(
    ("name", "security", "owner", "mode"),
    [
        ("by-user", {"runAsUser": 1000}, "1000", "600"),
        ("by-group", {"fsGroup": 2000}, "65532", "640"),
        ("by-neither", {}, "65532", "644"),
    ],
)
def test_files_belong_to_who_reads_them(node: Node, name: str, security: dict[str, Any], owner: str, mode: str) -> None:
    apply(node, application(name, "teller", securityContext=security))
    ready(node, name, NAMESPACE)

    group, *numbers = inside(node, name, "stat", "-c", "%g %u %a", TOKEN_FILE).split()

    assert numbers == [owner, mode]
    assert "fsGroup" not in security or group == "2000"
    assert inside(node, name, "sh", "-c", f"head -c 4 {TOKEN_FILE}") == "hvs."


def test_only_the_sidecar_has_the_assertion_and_only_the_app_writes_nothing(node: Node) -> None:
    apply(node, application("looks", "teller"))
    ready(node, "looks", NAMESPACE)

    assert "No such file" in inside(node, "looks", "ls", "/var/run/secrets/apostille.dev")
    assert "Read-only file system" in inside(node, "looks", "touch", "/var/run/apostille.dev/x")


def test_a_token_is_renewed_in_the_running_pod(world: SelfHosted, node: Node) -> None:
    """Vault's administrator lets tokens of the role live for nine seconds: the same one goes on for longer."""
    vault = world.vault
    role = "auth/jwt-cluster-a/role/payments"
    rendered = json.loads(world.rendered("vault-prod")["role-payments.json"])
    assert vault.call("POST", role, vault.root_token, {**rendered, "token_ttl": 9}).status < 300
    try:
        apply(node, application("stays", "teller"))
        ready(node, "stays", NAMESPACE)
        token = inside(node, "stays", "cat", TOKEN_FILE)

        def renewals() -> int:
            log = kubectl(node, "logs", "stays", "-c", "apostille-exchange").stdout
            return log.count('"result": "Renewed"')

        until(lambda: renewals() >= 2, "two renewals")

        assert inside(node, "stays", "cat", TOKEN_FILE) == token
        assert inside(node, "stays", "python3", "-c", READS) == f"{SECRET['password']}\n"
        assert token not in kubectl(node, "logs", "stays", "-c", "apostille-exchange").stdout
    finally:
        vault.call("POST", role, vault.root_token, rendered)


def test_what_ends_with_its_pod_is_revoked(world: SelfHosted, node: Node) -> None:
    apply(node, application("leaves", "teller"))
    ready(node, "leaves", NAMESPACE)
    token = inside(node, "leaves", "cat", TOKEN_FILE)
    assert world.vault.read_secret("payments", token).status == 200

    node.kubectl("delete", "pod", "leaves", f"--namespace={NAMESPACE}", "--grace-period=10")

    until(lambda: world.vault.read_secret("payments", token).status == 403, "the token to be revoked")


def test_status_counts_what_runs(node: Node) -> None:
    kubectl(node, "delete", "pod", "--all", "--wait=false")
    apply(node, application("counted", "teller"))

    def counted() -> bool:
        told = json.loads(kubectl(node, "get", "wbind", "database", "-o", "json").stdout)
        return bool(told["status"].get("pods", {}).get("injected") == 1)

    until(counted, "one injected pod")
