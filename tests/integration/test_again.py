"""What is deleted and declared again at once: Ready speaks of the new one, not of the grant of the one before."""

from __future__ import annotations

import time

import pytest

from integration.cluster import Cluster, injected

pytestmark = pytest.mark.integration


# Within one poll of the API server for policies (a second), and over more than one.
@pytest.mark.parametrize("pause", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("whole", [True, False], ids=["trust and binding", "suspended and resumed"])
def test_a_pod_of_what_is_ready_again_starts_and_has_its_token(cluster: Cluster, whole: bool, pause: float) -> None:
    with cluster.team() as team:
        trust, binding = team.trust(enforcement={"mode": "Enforce"}), team.binding()
        team.declare(trust, binding)
        team.in_force()
        if whole:
            team.delete(binding)
            team.delete(trust)
            time.sleep(pause)
            team.declare(trust, binding)
        else:
            assert team.change(binding, suspended=True).ok
            time.sleep(pause)
            assert team.change(binding, suspended=False).ok

        team.until_ready(binding)
        pod = team.run()

        assert injected(pod)
        assert team.token(pod).ok
