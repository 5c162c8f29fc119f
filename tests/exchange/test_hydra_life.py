"""The sidecar against a real Ory Hydra, which takes each assertion once."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from apostille.core.pod_plan import pod_plan
from apostille.parties.oauth.party import OAuth
from apostille_exchange import errors, transport
from apostille_exchange.recipe import Output
from apostille_testbed.parties.hydra.party import HydraParty
from exchange.scene import Pod, ended
from oauth_declarations import oauth_binding, oauth_trust
from real_servers import World, facts
from self_hosted import READER, URL

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("oauth")]

HW = World[HydraParty]
PARTY = OAuth()
TTL = 900
_numbers = itertools.count()


class HydraPod(Pod):
    """A pod whose sidecar asks for real; only its clock is ours."""

    def __init__(self, world: HW, directory: Path) -> None:
        self.world = world
        ca = world.server.ca.read_text()
        by = oauth_trust(
            "Hydra",
            settings={"tokenEndpoint": world.server.token_endpoint, "caBundle": ca},
            ceilings={"sessionSeconds": TTL, "assertionSeconds": 900},
        )
        known = facts(URL, world.issuer.jwks)
        world.server.apply(PARTY.render(PARTY.access(by.view, [oauth_binding().view(PARTY)], known), "native"))
        made = pod_plan(by, oauth_binding())
        assert made.frozen.admission is not None
        assert made.live.recipe is not None
        self.recipe = made.live.recipe
        self.path = directory / "run" / "api" / "token"
        changes = {
            name: getattr(made.frozen.admission, name)
            for name in ("grant", "endpoint", "audience", "ca", "session_seconds", "settings")
        }
        output = Output(str(self.path), "token", 0o640)
        super().__init__(directory, "api", post=transport.post, outputs=(output,), **changes)
        self.files.put_plan(self.recipe)
        self.next_token()

    def next_token(self, subject: str = READER) -> None:
        """What the kubelet brings at four fifths of the last one's life."""
        audience = [self.world.server.token_endpoint]
        self.files.put_token(self.world.issuer.token(subject, audience, jti=f"life-{next(_numbers)}"), "api")


def test_it_waits_for_the_next_assertion_and_never_presents_one_twice(hydra: HW, tmp_path: Path) -> None:
    pod = HydraPod(hydra, tmp_path)
    pod.tick()
    first = pod.path.read_text()
    said = hydra.server.introspect(first)
    assert (said["active"], said["sub"], said["client_id"], said["scope"]) == (True, READER, "api", "read write")
    pod.clock.advance(TTL * 0.8)
    assert pod.tick() == 0, "due, but the assertion was used"
    assert pod.path.read_text() == first
    pod.next_token()
    assert pod.tick(1) == 1
    assert pod.path.read_text() != first
    assert hydra.server.introspect(pod.path.read_text())["active"]


def test_a_restart_without_its_files_learns_that_the_assertion_was_used(hydra: HW, tmp_path: Path) -> None:
    pod = HydraPod(hydra, tmp_path)
    pod.tick()
    pod.files.put_plan(ended("api"))
    pod.tick(1)
    assert not pod.path.exists()
    pod.restart()
    pod.files.put_plan(pod.recipe)
    assert pod.run(120) == 1
    assert errors.ASSERTION_USED in pod.log.reasons()
    pod.next_token()
    pod.tick(1)
    assert pod.path.exists()


def test_a_stranger_is_refused_in_hydras_words_without_the_token(hydra: HW, tmp_path: Path) -> None:
    pod = HydraPod(hydra, tmp_path)
    pod.next_token(READER + "2")
    pod.tick()
    assert not pod.path.exists()
    (line,) = [line for line in pod.log.lines if line.get("result") == "Refused"]
    assert (line["reason"], line["code"]) == ("ConditionRejected", "invalid_grant")
    assert pod.files.token("api").read_text() not in str(pod.log.lines)
