"""Vault and MinIO used by pods that a kubelet runs: a token that the sidecar keeps, and an unmodified AWS SDK."""

from __future__ import annotations

import importlib.util
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from apostille_testbed import Node
from apostille_testbed.chart import NAMESPACE, Release
from apostille_testbed.client import APIError
from apostille_testbed.node import archive, images, network
from apostille_testbed.node.images import EXCHANGE
from apostille_testbed.parties import issuers, party
from apostille_testbed.parties.minio import MinIOParty
from apostille_testbed.parties.vault import VaultParty
from apostille_testbed.progress import Console
from node.scene import RESTRICTED, apply, output, pod, ready, until

EXAMPLES = Path(__file__).parents[2] / "examples"
WITH_SDK = "localhost/application:boto3"
PACKAGES = "/opt/packages"
# Of botocore's hundreds of services only what is used; the code is whole.
_SDK = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
_SERVICES = ("s3", "sts")


@dataclass(frozen=True)
class World:
    node: Node
    vault: VaultParty
    minio: MinIOParty
    space: str

    def workload(self, name: str, image: str, script: str) -> dict[str, Any]:
        """A pod under `restricted` of the service account that is bound, to both."""
        wanted = pod(name, self.space, "python3", "-c", script, image=image, serviceAccountName="reader")
        wanted["spec"]["containers"][0] |= {
            "securityContext": RESTRICTED,
            "env": [{"name": "PYTHONPATH", "value": PACKAGES}],
        }
        wanted["spec"]["hostAliases"] = [{"ip": network.MACHINE, "hostnames": [*self.vault.hosts, *self.minio.hosts]}]
        wanted["spec"]["terminationGracePeriodSeconds"] = 20
        return wanted


def boto3_files() -> dict[str, bytes]:
    """The SDK as it is installed here, to lie in an image."""
    found: dict[str, bytes] = {}
    for name in _SDK:
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        origin = Path(spec.origin)
        root = origin.parent if spec.submodule_search_locations else origin
        for file in root.rglob("*") if root.is_dir() else [root]:
            inside = file.relative_to(root.parent)
            service = inside.parts[2] if inside.parts[:2] == ("botocore", "data") and len(inside.parts) > 3 else ""
            if file.is_file() and file.suffix != ".pyc" and (not service or service in _SERVICES):
                found[f"{PACKAGES}/{inside}"] = file.read_bytes()
    return found


def example(which: str, of: Any, address: str, space: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Trust, binding, and the script of the example's pod."""
    trust, binding, shown = (
        yaml.safe_load((EXAMPLES / which / file).read_text())
        for file in ("10-trust.yaml", "20-binding.yaml", "30-pod.yaml")
    )
    settings = trust["spec"]["relyingParty"][which]
    settings |= {address: f"https://{of.hosts[0]}:{of.port}", "caBundle": of.ca.read_text()}
    trust["spec"]["allow"][0]["namespace"] = binding["metadata"]["namespace"] = space
    return trust, binding, shown["spec"]["containers"][0]["command"][-1]


@pytest.fixture(scope="module")
def world(node: Node, release: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Both servers, both trusts, both bindings in force, and what was rendered applied."""
    directory = tmp_path_factory.mktemp("parties")
    archive.extend(directory / "boto3.tar", images.images(Console()).exchange, WITH_SDK, boto3_files())
    node.load(directory / "boto3.tar")
    site = issuers.IssuerSite({node.issuer: issuers.of(node)}, directory / "issuer")
    site.start()
    space = f"self-hosted-{secrets.token_hex(3)}"
    try:
        with (
            party("vault", site=site, bind=network.MACHINE) as vault,
            party("minio", site=site, bind=network.MACHINE) as minio,
        ):
            made = World(node, vault, minio, space)
            node.create_namespace(space, {"pod-security.kubernetes.io/enforce": "restricted"})
            node.kubectl("create", "serviceaccount", "reader", f"--namespace={space}")
            prepare(made)
            yield made
            node.kubectl("delete", "wbind,pods", "--all", f"--namespace={space}", "--timeout=90s")
            node.kubectl("delete", "ftrust", "vault-prod", "minio-prod")
    finally:
        site.close()


def prepare(world: World) -> None:
    """What three teams do: declare, bind, apply what was rendered."""
    world.vault.write_policy("payments-ro", 'path "secret/data/payments" { capabilities = ["read"] }')
    world.vault.write_secret("payments", {"password": "x"})
    world.minio.create_bucket("ledger", {"2026": b"balance"})
    for which, of, address in (("vault", world.vault, "address"), ("minio", world.minio, "endpoint")):
        trust, binding, _ = example(which, of, address, world.space)
        apply(world.node, trust)
        world.node.kubectl("wait", "--for=condition=Ready", f"ftrust/{which}-prod", "--timeout=60s")
        apply(world.node, binding)
        name = binding["metadata"]["name"]
        world.node.kubectl(
            "wait", "--for=condition=Ready", f"wbind/{name}", f"--namespace={world.space}", "--timeout=60s"
        )
        files = rendered(world, which)
        if which == "vault":
            world.vault.apply(trust["spec"]["relyingParty"]["vault"]["mount"], files)
        else:
            world.minio.apply(files)


def rendered(world: World, which: str) -> dict[str, str]:
    """The documents, once they speak of the subject."""
    path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/apostille-access-{which}-prod"
    files: dict[str, str] = {}

    def there() -> bool:
        try:
            files.update(world.node.client.request("GET", path)["data"])
        except APIError:
            return False
        return f"system:serviceaccount:{world.space}:reader" in json.dumps(files)

    until(there, "the rendered access")
    return files


def test_unmodified_boto3_lists_a_bucket_of_minio(world: World) -> None:
    _, _, script = example("minio", world.minio, "endpoint", world.space)
    apply(world.node, world.workload("lists", WITH_SDK, script))

    assert output(world.node, "lists", world.space) == "2026\n"


def test_a_secret_of_vault_through_the_sidecars_file(world: World) -> None:
    _, _, script = example("vault", world.vault, "address", world.space)
    apply(world.node, world.workload("reads", EXCHANGE, script))

    assert output(world.node, "reads", world.space) == "{'password': 'x'}\n"
    log = output(world.node, "reads", world.space, "apostille-exchange")
    assert '"result": "Revoked"' in log, "the end of the pod took the token back"


def test_a_pod_of_another_namespace_gets_nothing(world: World) -> None:
    elsewhere = f"{world.space}-2"
    world.node.create_namespace(elsewhere)
    world.node.kubectl("create", "serviceaccount", "reader", f"--namespace={elsewhere}")
    script = "import os; print(sorted(name for name in os.environ if name.startswith(('VAULT', 'AWS'))))"
    wanted = pod("stranger", elsewhere, "python3", "-c", script, image=EXCHANGE, serviceAccountName="reader")
    apply(world.node, wanted)

    assert output(world.node, "stranger", elsewhere) == "[]\n"


def test_a_deleted_binding_takes_the_token_back(world: World) -> None:
    shown = "import os, time\nprint(open(os.environ['VAULT_TOKEN_FILE']).read(), flush=True)\ntime.sleep(600)"
    apply(world.node, world.workload("holds", EXCHANGE, shown))
    ready(world.node, "holds", world.space)

    def said() -> str:
        return world.node.kubectl("logs", "holds", f"--namespace={world.space}", "--container=app").stdout.strip()

    until(lambda: bool(said()), "the application's token")
    token = said()
    assert world.vault.read_secret("payments", token).status == 200

    world.node.kubectl("delete", "wbind", "vault", f"--namespace={world.space}", "--timeout=60s")

    until(lambda: world.vault.read_secret("payments", token).status == 403, "the token to be revoked")
