"""Keycloak and Hydra, whole: declared, rendered, applied to real servers, used by the examples' pods, taken back."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from apostille.model import names
from apostille_testbed.parties import issuers
from apostille_testbed.parties.hydra.party import HydraParty
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


@contextmanager
def world(cluster: Cluster, real: Real[Any], directory: Path) -> Iterator[World]:
    """A team's namespace with a node from which the server is reached by its name."""
    plane = cluster.installation.control_plane
    real.site.add(plane.issuer, issuers.of(plane))
    namespace = plane.create_namespace(f"{real.server.name}-{secrets.token_hex(3)}")
    with scene(plane, namespace, directory) as at:
        with at.runner(images=standard_images(), routes=[Route.to_party(real.server)]) as runner:
            yield World(cluster, at, runner, real.server)
        cluster.kubectl("delete", "wbind", "--all", "-n", namespace)


def test_keycloaks_example_is_its_client_and_taken_back(
    cluster: Cluster, keycloak: Real[KeycloakParty], tmp_path: Path
) -> None:
    with world(cluster, keycloak, tmp_path / "node") as here:
        made = declared("keycloak", here, "address")
        realm = made.trust["spec"]["relyingParty"]["keycloak"]["realm"] = f"r-{secrets.token_hex(3)}"

        put_in_force(here, made, lambda files: keycloak.server.apply(realm, files, address="https://keycloak.example"))

        assert run(here, made) == "service-account-payments-reader\n"
        log = here.runner.logs(here.ns, "app", names.EXCHANGE_CONTAINER)
        assert '"result": "Revoked"' in log, "the pod's end took the token back"


def test_hydras_example_has_a_token(cluster: Cluster, hydra: Real[HydraParty], tmp_path: Path) -> None:
    with world(cluster, hydra, tmp_path / "node") as here:
        made = declared("oauth", here, "tokenEndpoint")
        made.trust["spec"]["relyingParty"]["oauth"]["tokenEndpoint"] = "https://hydra.example/oauth2/token"
        made.trust["spec"]["audience"] = hydra.server.token_endpoint

        put_in_force(here, made, hydra.server.apply)

        assert run(here, made) == "a token of Hydra's\n"
