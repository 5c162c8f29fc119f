"""Keycloak, whole: declared, rendered, applied to the real server, used by the example's pod, taken back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from apostille.model import names
from apostille_testbed.parties import issuers
from apostille_testbed.parties.keycloak.party import KeycloakParty
from apostille_testbed.pods import Route, standard_images
from integration.cluster import Cluster
from integration.example import World, declared, put_in_force, run
from real_servers import World as Real
from testbed.pod_runner_scene import scene

pytestmark = [
    pytest.mark.integration,
    pytest.mark.e2e,
    pytest.mark.xdist_group("oauth"),
    pytest.mark.usefixtures("isolation"),
]


@pytest.fixture
def world(cluster: Cluster, keycloak: Real[KeycloakParty], tmp_path: Path) -> Iterator[World]:
    """A team's namespace with a node from which Keycloak is reached by its name."""
    plane = cluster.installation.control_plane
    keycloak.site.add(plane.issuer, issuers.of(plane))
    namespace = plane.create_namespace(f"keycloak-{secrets.token_hex(3)}")
    with scene(plane, namespace, tmp_path / "node") as at:
        with at.runner(images=standard_images(), routes=[Route.to_party(keycloak.server)]) as runner:
            yield World(cluster, at, runner, keycloak.server)
        cluster.kubectl("delete", "wbind", "--all", "-n", namespace)


def test_the_example_is_its_client_and_nobody_else(world: World) -> None:
    server: KeycloakParty = world.server
    made = declared("keycloak", world, "address")
    realm = made.trust["spec"]["relyingParty"]["keycloak"]["realm"] = f"r-{secrets.token_hex(3)}"

    put_in_force(world, made, lambda files: server.apply(realm, files, address="https://keycloak.example"))

    assert run(world, made) == "service-account-payments-reader\n"
    log = world.runner.logs(world.ns, "app", names.EXCHANGE_CONTAINER)
    assert '"result": "Revoked"' in log, "the pod's end took the token back"
