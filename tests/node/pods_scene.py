"""Identities at real Vault and MinIO for pods on a real node: declared, in force on both sides, used.

Modules share the servers and the namespace: each has trusts, a mount and names of its own.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from typing import Any

from apostille_testbed import Node
from apostille_testbed.node import derived
from apostille_testbed.node.derived import APPLICATION
from apostille_testbed.node.self_hosted import ALIASES, MINIO, VAULT, SelfHosted
from apostille_testbed.progress import Console
from node.scene import apply, met, pod, until

NAMESPACE = "treasury"
BUCKET, OBJECT = "ledger", "2026/11.csv"
SECRET = {"password": "correct horse"}

LISTS = f"""
import boto3
for item in boto3.client("s3").list_objects_v2(Bucket="{BUCKET}")["Contents"]:
    print(item["Key"])
"""
"""Unmodified boto3 that is told nothing but the bucket."""

READS = """
import json, os, ssl, urllib.request
request = urllib.request.Request(
    os.environ["VAULT_ADDR"] + "/v1/secret/data/payments",
    headers={"X-Vault-Token": open(os.environ["VAULT_TOKEN_FILE"]).read()},
)
tls = ssl.create_default_context(cafile=os.environ["VAULT_CACERT"])
print(json.load(urllib.request.urlopen(request, context=tls))["data"]["data"]["password"])
"""
"""A program that reads a secret with the token that it finds in a file."""


STAYS = "trap 'exit 0' TERM; sleep 3600 & wait"


def stock(world: SelfHosted) -> None:
    """Gives both servers content, and the node the namespace and the image `APPLICATION`."""
    world.node.load(derived.application(Console()))
    world.minio.create_bucket(BUCKET, {OBJECT: b"balance"})
    world.vault.write_secret("payments", SECRET)
    for name in ("payments", "audit"):
        world.vault.write_policy(name, f'path "secret/data/{name}" {{ capabilities = ["read"] }}')
    world.node.create_namespace(NAMESPACE)


def vault_audience(mount: str) -> str:
    """The ``aud`` of tokens for a mount of Vault's JWT method."""
    return f"{VAULT}/v1/auth/{mount}"


def accounts(node: Node, *names: str, namespace: str = NAMESPACE) -> None:
    """Service accounts whose pods get no token for the Kubernetes API."""
    apply(
        node,
        *(
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {"name": name, "namespace": namespace},
                "automountServiceAccountToken": False,
            }
            for name in names
        ),
    )


def minio_trust(world: SelfHosted, allow: list[dict[str, Any]]) -> dict[str, Any]:
    """Its target ``ledger-reader`` reads one bucket."""
    statement = {
        "actions": ["s3:ListBucket", "s3:GetObject"],
        "resources": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
    }
    member = {
        "endpoint": MINIO,
        "caBundle": world.minio.ca.read_text(),
        "policies": [{"name": "ledger-reader", "statements": [statement]}],
    }
    return _trust("minio-prod", "MinIO", member, allow)


def vault_trust(world: SelfHosted, name: str, mount: str, allow: list[dict[str, Any]]) -> dict[str, Any]:
    """Its targets ``payments`` and ``audit`` have a policy of their name."""
    member = {
        "address": VAULT,
        "mount": mount,
        "caBundle": world.vault.ca.read_text(),
        "roles": [{"name": role, "policies": [role]} for role in ("payments", "audit")],
    }
    return _trust(name, "Vault", member, allow)


def _trust(name: str, party: str, member: Mapping[str, Any], allow: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": "apostille.dev/v1alpha1",
        "kind": "FederationTrust",
        "metadata": {"name": name},
        "spec": {
            "relyingParty": {"type": party, party.lower(): member},
            "enforcement": {"mode": "Enforce"},
            "allow": allow,
        },
    }


def allowed(target: str, *names: str, namespace: str = NAMESPACE) -> dict[str, Any]:
    """An entry of ``spec.allow``."""
    return {"namespace": namespace, "serviceAccounts": list(names), "targets": [target]}


def binding(name: str, trust: str, target: dict[str, Any], *names: str, namespace: str = NAMESPACE) -> dict[str, Any]:
    """Service accounts ``names`` bound to a target."""
    return {
        "apiVersion": "apostille.dev/v1alpha1",
        "kind": "WorkloadBinding",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"trustRef": {"name": trust}, "subject": {"serviceAccountNames": list(names)}, "target": target},
    }


def in_force(world: SelfHosted, trust: dict[str, Any], *bindings: dict[str, Any]) -> None:
    """Declares them and returns when the cluster grants and the server accepts what they say."""
    node, name = world.node, trust["metadata"]["name"]
    apply(node, trust)
    met(node, f"federationtrusts/{name}")
    apply(node, *bindings)
    for made in bindings:
        met(node, f"workloadbindings/{made['metadata']['name']}", made["metadata"]["namespace"])
    subjects = {
        f"system:serviceaccount:{made['metadata']['namespace']}:{account}"
        for made in bindings
        for account in made["spec"]["subject"]["serviceAccountNames"]
    }
    until(lambda: all(one in json.dumps(world.rendered(name)) for one in subjects), "the rendered documents")
    at_the_server(world, trust)


def at_the_server(world: SelfHosted, trust: Mapping[str, Any]) -> None:
    """Applies what is rendered for a trust, as a platform team's pipeline would."""
    documents, party = world.rendered(trust["metadata"]["name"]), trust["spec"]["relyingParty"]
    if party["type"] == "MinIO":
        world.minio.apply(documents)
    else:
        world.vault.apply(party["vault"]["mount"], documents)


def application(name: str, account: str, *command: str, namespace: str = NAMESPACE, **spec: Any) -> dict[str, Any]:
    """An ordinary pod of a service account; ``command`` left out: it stays until it is told to end."""
    fields = {"serviceAccountName": account, "hostAliases": ALIASES, **spec}
    return pod(name, namespace, *(command or ("sh", "-c", STAYS)), image=APPLICATION, **fields)


def inside(node: Node, name: str, *command: str, namespace: str = NAMESPACE) -> str:
    """What a command in a running pod's ``app`` writes, errors included; it may fail."""
    done = node.kubectl("exec", name, f"--namespace={namespace}", "--container=app", "--", *command, check=False)
    return done.stdout + done.stderr


def kubectl(node: Node, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As the administrator, in `NAMESPACE`; failing is an answer."""
    return node.kubectl(f"--namespace={NAMESPACE}", *arguments, check=False)


def soon(true: Callable[[], bool], what: str) -> None:
    """`until`, patient enough for a kubelet that looks at a pod every minute or two, with a process for each look."""
    until(true, what, within=180.0, pause=0.5)
