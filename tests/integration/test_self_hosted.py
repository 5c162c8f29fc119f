"""Vault and MinIO, whole: declared, rendered, applied to the real servers, used by pods, taken back.

The servers read the cluster's keys from a published copy, never from the API server, whose authority they do not know.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from apostille.model import names
from apostille_testbed import party
from apostille_testbed.parties import issuers
from apostille_testbed.parties.minio import MinIOParty
from apostille_testbed.parties.vault import VaultParty
from apostille_testbed.pods import Route, standard_images
from integration.cluster import Cluster
from integration.example import World, declared, put_in_force, run
from integration.plain_client import until
from testbed.pod_runner_scene import scene

pytestmark = [pytest.mark.integration, pytest.mark.e2e, pytest.mark.usefixtures("isolation")]
SLEEP = "import time\nwhile True: time.sleep(1)"


@pytest.fixture
def world(request: pytest.FixtureRequest, cluster: Cluster, tmp_path: Path) -> Iterator[World]:
    """A team's namespace with a node, and the server that the test names; on ending all declarations go."""
    plane = cluster.installation.control_plane
    namespace = plane.create_namespace(f"self-hosted-{secrets.token_hex(3)}")
    with ExitStack() as stack:
        site = issuers.IssuerSite({plane.issuer: issuers.of(plane)}, tmp_path / "issuer")
        site.start()
        stack.callback(site.close)
        server = stack.enter_context(party(request.param, site=site))
        at = stack.enter_context(scene(plane, namespace, tmp_path / "node"))
        runner = stack.enter_context(at.runner(images=standard_images(), routes=[Route.to_party(server)]))
        made = World(cluster, at, runner, server)
        yield made
        cluster.kubectl("delete", "wbind", "--all", "-n", namespace)


def vault_only(test: Any) -> Any:
    return pytest.mark.xdist_group("vault")(pytest.mark.parametrize("world", ["vault"], indirect=True)(test))


def minio_only(test: Any) -> Any:
    return pytest.mark.xdist_group("minio")(pytest.mark.parametrize("world", ["minio"], indirect=True)(test))


@minio_only
def test_unmodified_boto3_lists_a_bucket_of_minio(world: World) -> None:
    server: MinIOParty = world.server
    server.create_bucket("ledger", {"2026": b"balance"})
    made = declared("minio", world, "endpoint")

    put_in_force(world, made, server.apply)

    assert run(world, made) == "2026\n"


@vault_only
def test_a_secret_of_vault_through_the_sidecars_file(world: World) -> None:
    server: VaultParty = world.server
    server.write_policy("payments-ro", 'path "secret/data/payments" { capabilities = ["read"] }')
    server.write_secret("payments", {"password": "x"})
    made = declared("vault", world, "address")
    mount = made.trust["spec"]["relyingParty"]["vault"]["mount"]

    put_in_force(world, made, lambda files: server.apply(mount, files))

    assert run(world, made) == "{'password': 'x'}\n"
    log = world.runner.logs(world.ns, "app", names.EXCHANGE_CONTAINER)
    assert '"result": "Revoked"' in log, "the pod's end took the token back"
    world.cluster.kubectl("delete", "pod", "app", "-n", world.ns, "--wait=false")

    lasting = made.pod["spec"]["containers"][0] | {"command": ["python", "-c", SLEEP]}
    spec = made.pod["spec"] | {"containers": [lasting]}
    world.apply({**made.pod, "metadata": {"name": "lasting", "namespace": world.ns}, "spec": spec})
    assert world.runner.wait(world.ns, "lasting", "Ready") is not None
    token = world.execute("lasting", "sh", "-c", "cat $VAULT_TOKEN_FILE")
    assert server.read_secret("payments", token).status == 200
    assert world.execute("lasting", "ls", names.TOKENS_DIRECTORY).strip() == "", "the assertion is the sidecar's alone"

    world.cluster.kubectl("delete", "wbind", "vault", "-n", world.ns)

    until(lambda: server.read_secret("payments", token).status == 403, "the token is revoked", 0.1)
    assert world.execute("lasting", "sh", "-c", "test -e $VAULT_TOKEN_FILE || echo gone") == "gone\n"


@vault_only
def test_a_namespace_that_is_not_allowed_gets_nothing(world: World) -> None:
    made = declared("vault", world, "address")
    world.apply(made.trust)
    elsewhere = world.scene.control_plane.create_namespace(f"elsewhere-{secrets.token_hex(3)}")
    binding = {**made.binding, "metadata": {"name": "vault", "namespace": elsewhere}}
    refused = world.apply(binding, check=False)
    assert refused.returncode != 0
    assert f"does not allow namespace {elsewhere}" in refused.stderr


@vault_only
@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("http://vault.example", "spec.relyingParty.vault.address: 'http://vault.example' is not such a URL"),
        ("https://169.254.169.254", "spec.relyingParty.vault.address: 169.254.169.254 is link-local"),
        (
            "https://kubernetes.default.svc",
            "spec.relyingParty.vault.address: kubernetes.default.svc is this cluster's own",
        ),
    ],
)
def test_an_address_where_no_assertion_may_go(world: World, address: str, message: str) -> None:
    made = declared("vault", world, "address")
    made.trust["spec"]["relyingParty"]["vault"]["address"] = address
    refused = world.apply(made.trust, check=False)
    assert refused.returncode != 0
    assert message in refused.stderr
