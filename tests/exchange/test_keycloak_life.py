"""The sidecar against a real Keycloak: access token, refresh, restart, revocation."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from apostille.core.pod_plan import pod_plan
from apostille.parties.keycloak.party import Keycloak
from apostille_exchange import transport
from apostille_exchange.recipe import Admission, Output, Recipe
from apostille_testbed.parties.keycloak.party import Answer, KeycloakParty
from exchange.scene import Pod, PodFiles, ended
from exchange.sidecar_process import Sidecar, until
from oauth_declarations import keycloak_binding, keycloak_trust
from real_servers import World
from self_hosted import FACTS, READER

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("oauth")]

PARTY = Keycloak()
REALM, TTL = "clients", 300
KW = World[KeycloakParty]


def declared(world: KW, **settings: Any) -> tuple[Admission, Recipe]:
    """What is declared, applied there, and what the operator would freeze in the pod's spec."""
    ca = world.server.ca.read_text()
    by = keycloak_trust(
        settings={"address": world.server.url, "realm": REALM, "caBundle": ca, **settings},
        ceilings={"sessionSeconds": 3 * TTL, "assertionSeconds": 3600},
    )
    world.server.apply(REALM, PARTY.render(PARTY.access(by.view, [keycloak_binding().view(PARTY)], FACTS), "native"))
    _in_its_own_audience(world)
    made = pod_plan(by, keycloak_binding())
    assert made.frozen.admission is not None
    assert made.live.recipe is not None
    return made.frozen.admission, made.live.recipe


def _in_its_own_audience(world: KW) -> None:
    """Only who is in a token's audience may introspect it; a realm's administrator puts it there by a mapper."""
    (client,) = world.server.admin("GET", f"realms/{REALM}/clients?clientId=payments-reader").body
    mapper = {
        "name": "audience", "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
        "config": {"included.client.audience": "payments-reader", "access.token.claim": "true",
                   "introspection.token.claim": "true"},
    }  # fmt: skip
    path = f"realms/{REALM}/clients/{client['id']}/protocol-mappers/models"
    assert world.server.admin("POST", path, mapper).status in (201, 409)


class KeycloakPod(Pod):
    """A pod whose sidecar asks for real; only its clock is ours."""

    def __init__(self, world: KW, directory: Path, **settings: Any) -> None:
        self.made, recipe = declared(world, **settings)
        self.path = directory / "run" / "api" / "token"
        changes = {
            name: getattr(self.made, name)
            for name in ("grant", "endpoint", "audience", "ca", "session_seconds", "endpoints", "settings")
        }
        output = Output(str(self.path), "token", 0o640)
        super().__init__(directory, "api", post=transport.post, outputs=(output,), **changes)
        self.files.put_plan(recipe)
        self.files.put_token(world.issuer.token(READER, [self.made.audience], jti="jti"), "api")


def introspected(world: KW, token: str) -> bool:
    """Whether Keycloak still takes the access token for good (RFC 7662), asked by the client itself."""
    assertion = world.issuer.token(READER, [world.server.issuer(REALM)], jti="asks")
    answer: Answer = world.server.introspect(REALM, token, assertion)
    return bool(answer.body["active"])


@pytest.mark.parametrize("grant", ["ClientCredentials", "JWTBearer"])
def test_an_access_token_is_kept_fresh_and_taken_back(keycloak: KW, tmp_path: Path, grant: str) -> None:
    pod = KeycloakPod(keycloak, tmp_path, grant=grant)
    pod.tick()
    first = pod.path.read_text()
    claims = Answer(200, {"access_token": first}).claims
    assert claims["azp"] == "payments-reader"
    who = {"ClientCredentials": "service-account-payments-reader", "JWTBearer": "payments-reader"}
    assert claims["preferred_username"] == who[grant]
    assert 0 < claims["exp"] - claims["iat"] <= TTL
    assert introspected(keycloak, first)

    pod.tick(TTL * 0.8)
    second = pod.path.read_text()
    assert second != first
    pod.tick(1)
    assert (introspected(keycloak, first), introspected(keycloak, second)) == (False, True), "the old one is no more"

    pod.restart()
    pod.files.put_plan(ended("api"))
    pod.tick(1)
    assert not pod.path.exists()
    assert not introspected(keycloak, second), "also a process that was started anew takes it back"


def test_what_keycloak_refuses_is_said_in_its_words_without_the_token(keycloak: KW, tmp_path: Path) -> None:
    pod = KeycloakPod(keycloak, tmp_path)
    stranger = keycloak.issuer.token(READER + "2", [pod.made.audience], jti="x")
    pod.files.put_token(stranger, "api")
    pod.tick()
    assert not pod.path.exists()
    (line,) = [line for line in pod.log.lines if line.get("result") == "Refused"]
    assert (line["reason"], line["code"]) == ("ConditionRejected", "invalid_client")
    assert stranger not in str(pod.log.lines)


def test_the_process_revokes_when_the_pod_ends(keycloak: KW, tmp_path: Path) -> None:
    made, recipe = declared(keycloak)
    where = PodFiles(tmp_path)
    where.put_plan(recipe)
    where.put_token(keycloak.issuer.token(READER, [made.audience], jti="jti"), "api")
    path = where.credentials / "api" / "token"
    changes = {
        name: getattr(made, name)
        for name in ("grant", "endpoint", "audience", "ca", "session_seconds", "endpoints", "settings")
    }
    sidecar = Sidecar(where, [where.admission("api", outputs=(Output(str(path), "token", 0o640),), **changes)])
    until(sidecar.ready, "the startup probe")
    token = path.read_text()
    assert introspected(keycloak, token)
    assert sidecar.end(signal.SIGTERM) == 0
    assert not introspected(keycloak, token)
    assert token not in sidecar.output()
