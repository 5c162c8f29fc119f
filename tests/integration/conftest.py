"""Whole Apostille on a control plane of its own, one per worker; each test takes a team's place on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from apostille_testbed import Installation, control_plane
from integration.cluster import Cluster, Team
from integration.plain_client import connected


@pytest.fixture(scope="session")
def apostille() -> Iterator[Installation]:
    """Installed and running; shared, so nobody may stop it. Its control plane is its own: others write policies too."""
    with control_plane() as plane, Installation(plane) as running:
        yield running


@pytest.fixture(scope="session")
def cluster(apostille: Installation) -> Iterator[Cluster]:
    """The shared installation as its users meet it."""
    with connected(apostille.control_plane.kubeconfig) as api:
        yield Cluster(apostille, api)


@pytest.fixture
def team(cluster: Cluster) -> Iterator[Team]:
    """A namespace, service accounts and an audience that no other test has; nothing is declared yet."""
    with cluster.team() as team:
        yield team


@pytest.fixture(scope="module")
def settled(cluster: Cluster) -> Iterator[Team]:
    """A team whose trust is enforced and whose binding is in force; a module shares it and leaves it as it is."""
    with cluster.team() as team:
        team.declare(team.trust(enforcement={"mode": "Enforce"}), team.binding())
        team.in_force()
        yield team
