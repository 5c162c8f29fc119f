"""The sidecar as a kubelet runs it: a native sidecar that has credentials before anything else of the pod starts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from apostille_testbed import Node
from apostille_testbed.chart import NAMESPACE, Release
from apostille_testbed.client import APIError
from apostille_testbed.node import derived, network
from apostille_testbed.node.derived import APPLICATION
from apostille_testbed.node.images import EXCHANGE
from apostille_testbed.parties import party
from apostille_testbed.parties.aws import AWSParty
from apostille_testbed.progress import Console
from node.scene import (
    RESTRICTED,
    apply,
    forget,
    forget_namespaces,
    log,
    met,
    output,
    pod,
    ready,
    refusal,
    retarget,
    until,
)

ROLE, OTHER = "arn:aws:iam::123456789012:role/reports", "arn:aws:iam::123456789012:role/archive"
SPACE = "reports"
CREDENTIALS = "$AWS_SHARED_CREDENTIALS_FILE"


PLACE = network.PLACES[-1]
"""Of AWS: other parties have the same port elsewhere."""


@pytest.fixture(scope="module")
def aws(node: Node) -> Iterator[AWSParty]:
    """AWS under its own names, for pods whose hosts file says so."""
    with party("aws", bind=PLACE, port=443) as running:
        running.resolve(node.issuer, node.url, node.ca)
        yield running


@pytest.fixture(scope="module")
def team(node: Node, aws: AWSParty, trusting: Callable[[str], Release]) -> Iterator[Node]:
    """A sidecar that trusts the testbed's AWS; a namespace under `restricted` with a binding in force."""
    trusting(aws.ca.read_text())
    node.create_namespace(SPACE, {"pod-security.kubernetes.io/enforce": "restricted"})
    for account in ("reporter", "asker"):
        node.client.request("POST", f"/api/v1/namespaces/{SPACE}/serviceaccounts", {"metadata": {"name": account}})
    apply(node, trust())
    met(node, f"federationtrusts/{SPACE}")
    apply(node, binding())
    met(node, "workloadbindings/files", SPACE)
    load(node, aws, ROLE)
    yield node
    forget(node, SPACE, SPACE)
    forget_namespaces(node, SPACE)


def trust() -> dict[str, Any]:
    """One audience, one service account, two roles."""
    return {
        "apiVersion": "apostille.dev/v1alpha1",
        "kind": "FederationTrust",
        "metadata": {"name": SPACE},
        "spec": {
            "relyingParty": {"type": "AWS", "aws": {"accountID": "123456789012", "region": "eu-west-1"}},
            "audience": f"https://{SPACE}.sts.example",
            "enforcement": {"mode": "Enforce"},
            "allow": [{"namespace": SPACE, "serviceAccounts": ["reporter", "asker"], "targets": [ROLE, OTHER]}],
        },
    }


def binding() -> dict[str, Any]:
    """With the sidecar."""
    return {
        "apiVersion": "apostille.dev/v1alpha1",
        "kind": "WorkloadBinding",
        "metadata": {"name": "files", "namespace": SPACE},
        "spec": {
            "trustRef": {"name": SPACE},
            "subject": {"serviceAccountNames": ["reporter"]},
            "target": {"aws": {"roleARN": ROLE}},
            "delivery": {"mode": "Sidecar"},
        },
    }


def endpoint() -> dict[str, Any]:
    """The same role, over HTTP on loopback, for another service account."""
    made = binding()
    made["metadata"]["name"] = "asked"
    made["spec"]["subject"] = {"serviceAccountNames": ["asker"]}
    made["spec"]["delivery"] = {"endpoint": {"type": "AWSContainerCredentials", "port": 2773}}
    return made


def load(node: Node, aws: AWSParty, role: str, account: str = "reporter") -> None:
    """Applies what Apostille rendered, as the platform team would, once it speaks of ``role`` for ``account``."""
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/apostille-access-{SPACE}"
    files: dict[str, str] = {}

    def rendered() -> bool:
        files.clear()
        try:
            files.update(node.client.request("GET", path)["data"])
        except APIError:
            return False
        return f":{account}" in files.get(f"role-{role.rpartition('/')[2]}.json", "")

    until(rendered, f"access for {role} to be rendered")
    aws.iam.load_files(files, source=SPACE)


def workload(aws: AWSParty, name: str, *command: str, **spec: Any) -> dict[str, Any]:
    """A pod under `restricted` whose hosts file has AWS's names."""
    wanted = pod(name, SPACE, *command, image=EXCHANGE, serviceAccountName="reporter", **spec)
    wanted["spec"]["containers"][0]["securityContext"] = RESTRICTED
    wanted["spec"]["hostAliases"] = [{"ip": PLACE, "hostnames": list(aws.hosts)}]
    return wanted


@pytest.fixture(scope="module")
def begun(team: Node, aws: AWSParty) -> None:
    """All that run to their end by themselves: together they take little longer than one."""
    early = workload(aws, "early", "sh", "-c", f"test -s {CREDENTIALS} && grep -c aws_session_token {CREDENTIALS}")
    early["spec"]["initContainers"] = [{**early["spec"]["containers"][0], "name": "first"}]
    exposed = workload(aws, "exposed", "sh", "-c", f"ls /var/run/secrets; stat -c %a {CREDENTIALS}")
    owned = workload(aws, "owned", "sh", "-c", f"id -u; stat -c '%u %a' {CREDENTIALS}; cat {CREDENTIALS} | wc -l")
    owned["spec"]["securityContext"] = {"runAsUser": 10001}
    grouped = workload(aws, "grouped", "sh", "-c", f"stat -c '%g %a' {CREDENTIALS}; cat {CREDENTIALS} >/dev/null")
    grouped["spec"]["securityContext"] = {"fsGroup": 20002}
    template = workload(aws, "", "sh", "-c", f"grep -q aws_session_token {CREDENTIALS}")["spec"]
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "ends", "namespace": SPACE},
        "spec": {"backoffLimit": 0, "template": {"spec": template}},
    }
    apply(team, early, exposed, owned, grouped, job)


@pytest.mark.usefixtures("begun")
def test_credentials_are_there_before_the_containers_and_the_init_containers(team: Node, aws: AWSParty) -> None:
    assert output(team, "early", SPACE) == "1\n"
    assert output(team, "early", SPACE, "first") == "1\n"
    assert ("OK", f"system:serviceaccount:{SPACE}:reporter") in [(e.code, e.subject) for e in aws.exchanges]


@pytest.mark.usefixtures("begun")
def test_the_token_is_the_sidecars_alone(team: Node) -> None:
    # Neither uid nor group is declared: then the file is for whoever mounts its volume.
    assert output(team, "exposed", SPACE) == "kubernetes.io\n644\n"


@pytest.mark.usefixtures("begun")
def test_a_file_belongs_to_the_uid_that_the_pod_declares(team: Node) -> None:
    uid, owner, lines = output(team, "owned", SPACE).splitlines()

    assert (uid, owner) == ("10001", "10001 600")
    assert int(lines) > 3


@pytest.mark.usefixtures("begun")
def test_a_file_is_the_groups_where_the_pod_has_one(team: Node) -> None:
    assert output(team, "grouped", SPACE) == "20002 640\n"


@pytest.mark.usefixtures("begun")
def test_a_job_completes_beside_its_sidecar(team: Node) -> None:
    met(team, "jobs/ends", SPACE, "Complete", within=90)


def test_a_changed_target_reaches_a_running_pod(team: Node, aws: AWSParty) -> None:
    apply(team, workload(aws, "follows", "sleep", "3600"))
    ready(team, "follows", SPACE)
    wbind = ("wbind", "files", f"--namespace={SPACE}")
    count = "jsonpath={.status.initContainerStatuses[0].restartCount} {.status.containerStatuses[0].restartCount}"

    retarget(team, SPACE, "files", {"aws": {"roleARN": OTHER}})

    try:
        load(team, aws, OTHER)
        until(lambda: (aws.exchanges[-1].code, aws.exchanges[-1].role) == ("OK", OTHER), "the new role", within=90)
        assert team.kubectl("get", "pod", "follows", f"--namespace={SPACE}", "-o", count).stdout == "0 0"
        team.kubectl("wait", "--for=jsonpath={.status.pods.stale}=0", *wbind, "--timeout=30s")
    finally:
        retarget(team, SPACE, "files", {"aws": {"roleARN": ROLE}})
        load(team, aws, ROLE)
        team.kubectl("delete", "pod", "follows", f"--namespace={SPACE}", "--timeout=60s")


ASKS = """
import boto3
from botocore.config import Config
once = Config(retries={"total_max_attempts": 1})
calls, seen = 0, []
while True:
    try:
        session = boto3.Session()
        arn = session.client("sts", config=once).get_caller_identity()["Arn"]
    except Exception as error:
        print(calls > 0, *seen, "ended" if "BindingEnded" in str(error) else repr(error))
        break
    calls += 1
    if arn not in seen:
        seen.append(arn)
        print(arn, flush=True)
"""
"""Unmodified boto3 that asks for its identity without a pause, until it has none; any other failure is printed."""


def test_boto3_at_the_endpoint_through_a_renewal_to_the_end(team: Node, aws: AWSParty) -> None:
    team.load(derived.application(Console()))
    team.kubectl("create", "configmap", "authority", f"--namespace={SPACE}", f"--from-file=ca.pem={aws.ca}")
    apply(team, endpoint())
    wbind = ("wbind", "asked", f"--namespace={SPACE}")
    met(team, "workloadbindings/asked", SPACE)
    load(team, aws, ROLE, "asker")
    wanted = workload(aws, "asks", "python3", "-c", ASKS)
    container = wanted["spec"]["containers"][0]
    container["image"] = APPLICATION
    container["env"] = [{"name": "AWS_CA_BUNDLE", "value": "/authority/ca.pem"}]
    container["volumeMounts"] = [{"name": "authority", "mountPath": "/authority"}]
    wanted["spec"]["serviceAccountName"] = "asker"
    wanted["spec"]["volumes"] = [{"name": "authority", "configMap": {"name": "authority"}}]
    apply(team, wanted)
    session = f"{SPACE}.asked"

    def said(role: str) -> bool:
        with suppress(APIError):  # it has not begun
            return f"assumed-role/{role}/{session}" in log(team, "asks", SPACE, container["name"])
        return False

    until(lambda: said("reports"), "the first identity", within=120)
    # Another role is another credential, exchanged for while the program goes on asking.
    retarget(team, SPACE, "asked", {"aws": {"roleARN": OTHER}})
    load(team, aws, OTHER, "asker")
    until(lambda: said("archive"), "the renewed identity", within=120)
    team.kubectl("delete", *wbind, "--timeout=60s")

    last = output(team, "asks", SPACE).splitlines()[-1]

    arns = [f"arn:aws:sts::123456789012:assumed-role/{role}/{session}" for role in ("reports", "archive")]
    assert last == f"True {arns[0]} {arns[1]} ended"


def test_a_deleted_binding_takes_the_credential_back(team: Node, aws: AWSParty) -> None:
    watch = f"while test -e {CREDENTIALS}; do sleep 0.1; done; echo gone"
    apply(team, workload(aws, "watches", "sh", "-c", watch))
    ready(team, "watches", SPACE)
    identity = json.loads(team.kubectl("get", "pod", "watches", f"--namespace={SPACE}", "-o", "json").stdout)
    assert [c["name"] for c in identity["spec"]["initContainers"]] == ["apostille-exchange"]

    team.kubectl("delete", "wbind", "files", f"--namespace={SPACE}", "--timeout=60s")

    assert output(team, "watches", SPACE) == "gone\n"
    until(
        lambda: (
            "no live WorkloadBinding" in refusal(team, "reporter", SPACE, f"https://{SPACE}.sts.example", pod="watches")
        ),
        "the next token to be refused",
    )
