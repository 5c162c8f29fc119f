"""Apostille as the chart installs it on a real node: identities in running pods, restraints, upgrade and removal."""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from apostille_testbed import Node
from apostille_testbed.chart import NAMESPACE, Release
from apostille_testbed.client import APIError
from apostille_testbed.node import network
from apostille_testbed.node.images import APOSTILLE, EXCHANGE
from apostille_testbed.parties import party
from apostille_testbed.parties.aws import AWSParty
from node.scene import ROOT, apply, forget, forget_namespaces, output, patch, pod, ready, stored, until

QUICKSTART = ROOT / "examples" / "quickstart"
AUDIENCE = "https://aws-prod.sts.example"
CONTROLLER = f"system:serviceaccount:{NAMESPACE}:apostille-controller"
SPACE = "not-bound"
TOKENS = "/var/run/secrets/apostille.dev/s3-reader"


def kubectl(node: Node, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As the administrator, in the quickstart's namespace; failing is an answer."""
    return node.kubectl("--namespace=payments", *arguments, check=False)


@pytest.fixture(scope="module")
def declared(release: Release) -> Iterator[Node]:
    """The quickstart, up to its pod, and in force."""
    node = release.node
    for file in ("00-namespace.yaml", "10-trust.yaml"):
        node.kubectl("apply", "-f", QUICKSTART / file)
    node.kubectl("wait", "--for=condition=Ready", "ftrust/aws-prod", "--timeout=60s")
    node.kubectl("apply", "-f", QUICKSTART / "20-binding.yaml")
    node.kubectl("wait", "--for=condition=Ready", "wbind/s3-reader", "-n", "payments", "--timeout=60s")
    yield node
    forget(node, "payments", "aws-prod")
    forget_namespaces(node, SPACE)


@pytest.fixture(scope="module")
def app(declared: Node) -> Node:
    """The quickstart's pod runs, with an image that is here."""
    text = (QUICKSTART / "30-pod.yaml").read_text().replace("python:3.13-slim", APOSTILLE)
    assert APOSTILLE in text
    declared.kubectl("apply", "-f", "-", input=text)
    ready(declared, "app", "payments")
    return declared


@pytest.fixture(scope="module")
def mallory(app: Node) -> Iterator[str]:
    """A user with every right on pods of the namespace, and on nothing else."""
    name = "system:serviceaccount:payments:mallory"
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "pods", "namespace": "payments"},
        "rules": [
            {"apiGroups": [""], "resources": ["pods", "pods/status", "pods/binding", "bindings"], "verbs": ["*"]}
        ],
    }
    grant = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "pods", "namespace": "payments"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "pods"},
        "subjects": [{"kind": "ServiceAccount", "name": "mallory", "namespace": "payments"}],
    }
    apply(app, role, grant)
    yield name
    app.kubectl("delete", "role,rolebinding", "pods", "--namespace=payments")


@pytest.fixture(scope="module")
def restricted(release: Release) -> Iterator[Node]:
    """The release's namespace is under Pod Security `restricted`, from here to the end."""
    label, node = "pod-security.kubernetes.io/enforce", release.node
    node.kubectl("label", "namespace", NAMESPACE, f"{label}=restricted", "--overwrite")
    yield node
    node.kubectl("label", "namespace", NAMESPACE, f"{label}-")


def test_both_deployments_are_ready_under_restricted(restricted: Node) -> None:
    node = restricted

    node.kubectl("rollout", "restart", "deployment", f"--namespace={NAMESPACE}")
    for name in ("apostille-admission", "apostille-controller"):
        node.kubectl("rollout", "status", f"deployment/{name}", f"--namespace={NAMESPACE}", "--timeout=60s")


def test_an_ordinary_pod_runs_with_its_identity(app: Node) -> None:
    def inside(*command: str) -> str:
        return app.kubectl("exec", "app", "--namespace=payments", "--", *command).stdout

    environment = dict(line.split("=", 1) for line in inside("env").splitlines() if "=" in line)
    payload = inside("cat", f"{TOKENS}/token").split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))

    assert environment["AWS_WEB_IDENTITY_TOKEN_FILE"] == f"{TOKENS}/token"
    assert environment["AWS_ROLE_ARN"] == "arn:aws:iam::123456789012:role/payments-reader"
    assert claims["aud"] == [AUDIENCE]
    assert claims["sub"] == "system:serviceaccount:payments:reader"
    assert claims["iss"] == app.issuer
    assert claims["kubernetes.io"]["pod"]["name"] == "app"
    until(
        lambda: stored(app, "workloadbindings/s3-reader", "payments")["status"].get("pods", {}).get("injected") == 1,
        "the pod to be counted",
    )


def test_a_pod_elsewhere_gets_nothing(app: Node) -> None:
    app.create_namespace(SPACE)
    app.kubectl("create", "serviceaccount", "reader", f"--namespace={SPACE}")
    apply(app, pod("elsewhere", SPACE, "sh", "-c", "env; ls /var/run/secrets", serviceAccountName="reader"))

    said = output(app, "elsewhere", SPACE)

    assert "apostille" not in said
    assert "AWS_" not in said


def test_an_unmodified_sdk_in_a_pod_exchanges_its_token(declared: Node) -> None:
    """boto3 of this environment, mounted: it is plain Python and needs nothing of the image but the interpreter."""
    packages = str(Path(boto3.__file__).parents[1])
    with party("aws", bind=network.MACHINE, resolve={}) as aws:
        aws.resolve(declared.issuer, declared.url, declared.ca)
        load(declared, aws)
        script = "import boto3; print(boto3.client('sts').get_caller_identity()['Arn'])"
        wanted = pod(
            "calls",
            "payments",
            "python3",
            "-c",
            script,
            image=EXCHANGE,
            serviceAccountName="reader",
            volumes=[
                {"name": "packages", "hostPath": {"path": packages}},
                {"name": "authority", "configMap": {"name": "aws"}},
            ],
        )
        wanted["spec"]["containers"][0] |= {
            "env": [
                {"name": "PYTHONPATH", "value": "/packages"},
                {"name": "AWS_CA_BUNDLE", "value": "/authority/ca.pem"},
                {"name": "AWS_ENDPOINT_URL_STS", "value": aws.url},
            ],
            "volumeMounts": [
                {"name": "packages", "mountPath": "/packages", "readOnly": True},
                {"name": "authority", "mountPath": "/authority"},
            ],
        }
        authority = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "aws", "namespace": "payments"},
            "data": {"ca.pem": aws.ca.read_text()},
        }
        apply(declared, authority, wanted)

        said = output(declared, "calls", "payments")

        assert said == "arn:aws:sts::123456789012:assumed-role/payments-reader/payments.s3-reader\n"
        assert [(exchange.code, exchange.subject) for exchange in aws.exchanges] == [
            ("OK", "system:serviceaccount:payments:reader")
        ]


def load(node: Node, aws: AWSParty) -> None:
    """What Apostille rendered, as the platform team would apply it."""
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/apostille-access-aws-prod"
    files: dict[str, str] = {}

    def rendered() -> bool:
        try:
            files.update(node.client.request("GET", path)["data"])
        except APIError:
            return False
        return True

    until(rendered, "the rendered access")
    aws.iam.load_files(files, source="aws-prod")


ANNOTATE = {"metadata": {"annotations": {"apostille.dev/plan": "forged"}}}
ADD_FILE = {"metadata": {"annotations": {"files.apostille.dev/s3-reader.config": "forged"}}}
DROP = {"metadata": {"labels": {"apostille.dev/injected": None}}}


@pytest.mark.parametrize("change", [ANNOTATE, ADD_FILE, DROP], ids=["annotation", "file", "label"])
@pytest.mark.parametrize("subresource", ["", "status"])
def test_nobody_else_changes_what_is_ours_on_a_running_pod(
    app: Node, mallory: str, change: dict[str, Any], subresource: str
) -> None:
    way = [f"--subresource={subresource}"] if subresource else []

    done = kubectl(app, f"--as={mallory}", "patch", "pod", "app", "--type=merge", "-p", json.dumps(change), *way)

    assert done.returncode != 0
    assert "only Apostille may change what is under apostille.dev/" in done.stderr


@pytest.mark.parametrize("path", ["pods/unplaced/binding", "bindings"])
def test_nobody_writes_it_by_placing_a_pod(app: Node, mallory: str, path: str) -> None:
    app.kubectl("create", "serviceaccount", "idle", "--namespace=payments", check=False)
    apply(app, pod("unplaced", "payments", "true", schedulerName="nobody", serviceAccountName="idle"))
    binding = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": "unplaced", "annotations": {"apostille.dev/plan": "forged"}},
        "target": {"apiVersion": "v1", "kind": "Node", "name": app.name},
    }

    done = app.kubectl(
        f"--as={mallory}", "create", "--raw", f"/api/v1/namespaces/payments/{path}", "-f", "-",
        input=json.dumps(binding), check=False,
    )  # fmt: skip

    assert "only Apostille may change what is under apostille.dev/" in done.stderr


def test_what_is_theirs_they_may_change(app: Node, mallory: str) -> None:
    done = kubectl(app, f"--as={mallory}", "annotate", "pod", "app", "team.example/note=yes", "--overwrite")

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ([{"op": "replace", "path": "/spec/containers/0/image", "value": "evil"}], "may not change the spec"),
        ([{"op": "add", "path": "/metadata/labels/x", "value": "y"}], "may not change labels"),
        (
            [{"op": "add", "path": "/metadata/finalizers", "value": ["x.example/y"]}],
            "may not change labels, finalizers",
        ),
        ([{"op": "add", "path": "/metadata/annotations/x", "value": "y"}], "may change only annotations under"),
        ([{"op": "add", "path": "/metadata/annotations/apostille.dev~1x", "value": "y"}], ""),
    ],
    ids=["spec", "label", "finalizer", "annotation", "ours"],
)
def test_the_controller_may_change_only_our_annotations_on_pods(
    app: Node, change: list[dict[str, Any]], said: str
) -> None:
    token = app.service_account_kubeconfig(NAMESPACE, "apostille-controller")
    path = "/api/v1/namespaces/payments/pods/app"
    app.client.request("PATCH", path, {"metadata": {"labels": {"team.example/app": "yes"}}})

    answer = patch(app, token, path, change)

    if said:
        assert said in answer
    else:
        assert answer == "", answer
        assert patch(app, token, path, [{"op": "remove", "path": "/metadata/annotations/apostille.dev~1x"}]) == ""


SELECTION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/apostille-pods-0"
HOOK = "/webhooks/0"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ([{"op": "replace", "path": f"{HOOK}/clientConfig", "value": {"url": "https://evil.example/"}}],
         "may name only its own Service"),
        ([{"op": "replace", "path": f"{HOOK}/clientConfig/service/namespace", "value": "payments"}],
         "may name only its own Service"),
        ([{"op": "replace", "path": f"{HOOK}/rules/0/resources", "value": ["secrets"]}], "may ask for CREATE of pods"),
        ([{"op": "replace", "path": f"{HOOK}/rules/0/operations", "value": ["UPDATE"]}], "may ask for CREATE of pods"),
        ([{"op": "replace", "path": f"{HOOK}/namespaceSelector", "value": {}}], "never the system's namespaces"),
        ([{"op": "add", "path": f"{HOOK}/namespaceSelector/matchExpressions/0/values/-", "value": "kube-system"}],
         "never the system's namespaces"),
    ],
    ids=["url", "service", "resource", "operation", "everywhere", "system"],
)  # fmt: skip
def test_the_controllers_webhooks_may_only_ask_apostille_about_new_pods(
    app: Node, change: list[dict[str, Any]], said: str
) -> None:
    token = app.service_account_kubeconfig(NAMESPACE, "apostille-controller")

    assert said in patch(app, token, SELECTION, change)


def may_controller(node: Node, verb: str, kind: str, name: str) -> bool:
    """Whether the controller may change an object of the API server's admission."""
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}", "system:authenticated"]
    asked = {"group": "admissionregistration.k8s.io", "resource": kind, "verb": verb, "name": name}
    review = {"spec": {"user": CONTROLLER, "groups": groups, "resourceAttributes": asked}}
    answer = node.client.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


@pytest.mark.parametrize("name", ["controller", "prefixes", "webhooks"])
def test_the_controller_cannot_loosen_what_binds_it(app: Node, name: str) -> None:
    for kind in ("validatingadmissionpolicies", "validatingadmissionpolicybindings"):
        for verb in ("patch", "update", "delete"):
            assert not may_controller(app, verb, kind, f"apostille-restrain-{name}")
    assert may_controller(app, "patch", "validatingadmissionpolicies", "apostille-debug")


def test_an_upgrade_to_the_same_version_keeps_the_certificate_and_the_selection(release: Release, app: Node) -> None:
    secret = ("get", "secret", "apostille-serving-certificate", f"--namespace={NAMESPACE}", "-o", "jsonpath={.data}")
    selection = ("get", "mutatingwebhookconfigurations", "-o", "jsonpath={.items[*].webhooks}")
    before = app.kubectl(*secret).stdout, app.kubectl(*selection).stdout

    release.upgrade()

    assert (app.kubectl(*secret).stdout, app.kubectl(*selection).stdout) == before


def test_a_forced_upgrade_replaces_everything_and_changes_nothing(release: Release, app: Node) -> None:
    """`helm upgrade --force` replaces each object of the release, the lease and the anchor among them: what Apostille

    has generated stays owned and in force, the certificate too, and bound pods are created all the time.
    """
    generated = ("get", "mutatingwebhookconfigurations,validatingadmissionpolicies", "-o")
    before = app.kubectl(*generated, "jsonpath={.items[*].metadata.uid}").stdout
    secret = ("get", "secret", "apostille-serving-certificate", f"--namespace={NAMESPACE}", "-o", "jsonpath={.data}")
    certificate = app.kubectl(*secret).stdout
    failed, stop = [], threading.Event()
    wanted = pod("forced", "payments", "true", serviceAccountName="reader")

    def create() -> None:
        while not stop.wait(0.1):
            try:
                made = app.client.request("POST", "/api/v1/namespaces/payments/pods?dryRun=All", wanted)
            except (APIError, OSError) as error:
                failed.append(str(error))
            else:
                if "apostille-token-s3-reader" not in json.dumps(made):
                    failed.append("created without its identity")

    worker = threading.Thread(target=create)
    worker.start()
    try:
        release.upgrade(force=True)
    finally:
        stop.set()
        worker.join()

    assert failed == []
    assert app.kubectl(*generated, "jsonpath={.items[*].metadata.uid}").stdout == before
    assert app.kubectl(*secret).stdout == certificate
    app.kubectl("wait", "--for=condition=Ready", "wbind/s3-reader", "--namespace=payments", "--timeout=60s")


def test_what_the_controller_could_not_do_it_did_not_try(release: Release, app: Node) -> None:
    """No refusal in its log: rights and restraints fit what it does."""
    for name in ("apostille-controller", "apostille-admission"):
        app.kubectl("rollout", "status", f"deployment/{name}", f"--namespace={NAMESPACE}", "--timeout=120s")
        log = app.kubectl("logs", f"--namespace={NAMESPACE}", f"deployment/{name}", "--tail=-1").stdout
        refused = [line for line in log.splitlines() if "forbidden" in line.lower() or " 403" in line]
        assert refused == []
