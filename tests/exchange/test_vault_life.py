"""The sidecar against a real Vault: login, renewal, revocation, restart."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from apostille.core.pod_plan import pod_plan
from apostille.parties.vault import documents
from apostille_exchange import transport
from apostille_exchange.deliver import files, token
from apostille_exchange.recipe import Admission, Output, Recipe
from apostille_testbed.parties import party
from apostille_testbed.parties.vault import VaultParty
from exchange.scene import Pod, PodFiles, ended
from exchange.sidecar_process import Sidecar, until
from self_hosted import READER, URL, VAULTS, issuer_site, vault_binding, vault_trust
from testbed.strict_sts_issuer import Issuer

pytestmark = pytest.mark.e2e

POLICY = 'path "secret/data/{}" {{ capabilities = ["read"] }}'
TTL = 300


@dataclass
class World:
    issuer: Issuer
    server: VaultParty
    audience: str

    def roles(self, **changes: Any) -> None:
        """Roles `ledger` and `orders`, each with its policy."""
        made = {
            name: {**documents.role(self.audience, [READER], [name], 3 * TTL), **changes}
            for name in ("ledger", "orders")
        }
        access = documents.VaultAccess(documents.config(URL, ["RS256"]), made)
        self.server.apply("jwt", documents.render(access))

    def reads(self, token: str, path: str = "ledger") -> int:
        return self.server.read_secret(path, token).status


@pytest.fixture(scope="module", params=VAULTS)
def vault(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with issuer_site(tmp_path_factory.mktemp("issuer")) as (issuer, site), party(request.param, site=site) as server:
        for name in ("ledger", "orders"):
            server.write_policy(name, POLICY.format(name))
            server.write_secret(name, {"of": name})
        yield World(issuer, server, f"{server.url}/v1/auth/jwt")


def recipe(role: str = "ledger", binding: str = "db") -> Recipe:
    return Recipe(binding, {"role": role}, 3 * TTL)


def admission(world: World, where: PodFiles) -> Admission:
    """What the operator would freeze in the pod's spec, with this test's paths."""
    settings = {"address": world.server.url, "caBundle": world.server.ca.read_text()}
    made = pod_plan(
        vault_trust(settings=settings, ceilings={"sessionSeconds": 3 * TTL}), vault_binding()
    ).frozen.admission
    assert made is not None
    assert (made.audience, made.endpoint) == (world.audience, f"{world.audience}/login")
    path = str(where.credentials / "db" / "token")
    return where.admission(
        "db", grant=made.grant, endpoint=made.endpoint, audience=made.audience, ca=made.ca,
        session_seconds=made.session_seconds, outputs=(Output(path, made.outputs[0].format, 0o640),),
    )  # fmt: skip


class VaultPod(Pod):
    """A pod whose sidecar logs in for real; only its clock is ours."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        super().__init__(directory, "db", post=transport.post)
        self.files.put_plan(recipe())
        self.files.put_token(world.issuer.token(READER, [world.audience]), "db")

    def restart(self) -> None:
        made = admission(self.world, self.files)
        self._changes = {
            "grant": made.grant, "endpoint": made.endpoint, "audience": made.audience, "ca": made.ca,
            "session_seconds": made.session_seconds, "outputs": made.outputs,
        }  # fmt: skip
        super().restart()

    @property
    def path(self) -> Path:
        return self.files.credentials / "db" / "token"

    def calls(self) -> list[str]:
        """The requests since the last call."""
        found = [path.rpartition("/")[2] for path in self.paths]
        self.paths.clear()
        return found


def test_a_login_leaves_the_token_alone_in_its_file(vault: World, tmp_path: Path) -> None:
    vault.roles()
    pod = VaultPod(vault, tmp_path)
    pod.tick()
    assert pod.calls() == ["login"]
    assert vault.reads(pod.path.read_text()) == 200
    assert vault.reads(pod.path.read_text(), "orders") == 403
    assert pod.path.read_text() == pod.path.read_text().strip()
    assert pod.path.stat().st_mode & 0o777 == 0o640
    stamp = files.stamp(str(pod.path))
    assert stamp is not None
    assert stamp.expires - pod.clock.now == pytest.approx(TTL, abs=5)


def test_it_is_renewed_before_it_ends_and_stays_the_same_token(vault: World, tmp_path: Path) -> None:
    vault.roles()
    pod = VaultPod(vault, tmp_path)
    pod.tick()
    first, before = pod.path.read_text(), files.stamp(str(pod.path))
    pod.calls()
    assert pod.tick(TTL * 0.6) == 0
    pod.clock.advance(TTL * 0.1)
    pod.tick()
    assert pod.calls() == ["renew-self"]
    assert pod.path.read_text() == first
    after = files.stamp(str(pod.path))
    assert before is not None
    assert after is not None
    assert after.issued > before.issued
    assert vault.reads(first) == 200
    assert [line["result"] for line in pod.log.lines if "result" in line] == ["Exchanged", "Renewed"]


def test_at_its_ceiling_it_logs_in_anew_and_takes_the_old_token_back(vault: World, tmp_path: Path) -> None:
    vault.roles()
    pod = VaultPod(vault, tmp_path)
    pod.tick()
    first = pod.path.read_text()
    pod.calls()
    vault.roles(token_ttl=100, token_max_ttl=100)
    pod.clock.moment += TTL * 0.7  # Vault's own clock stands still
    pod.tick()
    assert pod.calls() == ["renew-self", "login", "revoke-self"]
    second = pod.path.read_text()
    assert second != first
    assert (vault.reads(first), vault.reads(second)) == (403, 200)


def test_a_token_that_somebody_revoked_is_replaced(vault: World, tmp_path: Path) -> None:
    vault.roles()
    pod = VaultPod(vault, tmp_path)
    pod.tick()
    first = pod.path.read_text()
    vault.server.call("POST", "auth/token/revoke-self", first, {})
    pod.calls()
    pod.tick(TTL * 0.7)
    assert pod.calls()[:2] == ["renew-self", "login"]
    assert vault.reads(pod.path.read_text()) == 200


def test_another_role_is_followed_and_the_old_token_taken_back(vault: World, tmp_path: Path) -> None:
    vault.roles()
    pod = VaultPod(vault, tmp_path)
    pod.tick()
    first = pod.path.read_text()
    pod.files.put_plan(recipe("orders"))
    pod.calls()
    pod.tick(1)
    assert pod.calls() == ["login", "revoke-self"]
    assert vault.reads(pod.path.read_text(), "orders") == 200
    assert vault.reads(first) == 403


def test_an_ended_binding_drops_and_revokes(vault: World, tmp_path: Path) -> None:
    vault.roles()
    pod = VaultPod(vault, tmp_path)
    pod.tick()
    token = pod.path.read_text()
    pod.files.put_plan(ended("db"))
    pod.calls()
    pod.tick(1)
    assert pod.calls() == ["revoke-self"]
    assert list(pod.path.parent.iterdir()) == []
    assert vault.reads(token) == 403


def test_a_revocation_is_tried_until_vault_answers(vault: World, tmp_path: Path) -> None:
    vault.roles()
    pod = VaultPod(vault, tmp_path)
    pod.tick()
    token = pod.path.read_text()
    vault.server.stop()
    try:
        pod.files.put_plan(ended("db"))
        pod.tick(1)
        assert not pod.path.exists(), "the file goes whether Vault answers or not"
    finally:
        vault.server.start()
    assert vault.reads(token) == 200
    pod.tick(5)
    assert vault.reads(token) == 403
    assert [line["result"] for line in pod.log.lines if "result" in line] == ["Exchanged", "NotRevoked", "Revoked"]


def test_an_outage_keeps_the_token_and_renews_it_afterwards(vault: World, tmp_path: Path) -> None:
    vault.roles()
    pod = VaultPod(vault, tmp_path)
    pod.tick()
    token = pod.path.read_text()
    vault.server.stop()
    try:
        pod.tick(TTL * 0.7)
        assert pod.path.read_text() == token
    finally:
        vault.server.start()
    pod.calls()
    pod.tick(5)
    assert pod.calls() == ["renew-self"]
    assert pod.path.read_text() == token


def test_a_restart_goes_on_with_the_token_and_can_still_revoke_it(vault: World, tmp_path: Path) -> None:
    vault.roles()
    pod = VaultPod(vault, tmp_path)
    pod.tick()
    token = pod.path.read_text()
    pod.restart()
    pod.calls()
    pod.tick(1)
    assert pod.calls() == []
    pod.tick(TTL * 0.7)
    assert pod.calls() == ["renew-self"]
    pod.files.put_plan(ended("db"))
    pod.tick(1)
    assert vault.reads(token) == 403


@pytest.mark.parametrize("meanwhile", [ended("db"), recipe("orders")], ids=["ended", "another role"])
def test_what_happened_while_it_was_down_takes_the_old_token_back(
    vault: World, tmp_path: Path, meanwhile: Recipe
) -> None:
    vault.roles()
    pod = VaultPod(vault, tmp_path)
    pod.tick()
    token = pod.path.read_text()
    pod.files.put_plan(meanwhile)
    pod.restart()
    pod.tick(1)
    assert vault.reads(token) == 403
    assert pod.path.exists() is not meanwhile.ended


def test_a_process_that_ends_before_it_has_read_its_plan_revokes_too(vault: World, tmp_path: Path) -> None:
    vault.roles()
    pod = VaultPod(vault, tmp_path)
    pod.tick()
    token = pod.path.read_text()
    pod.restart()
    pod.exchanger.close()
    assert vault.reads(token) == 403
    assert not pod.path.exists()


@pytest.mark.parametrize("content", ["", "hvs.x\r\nX-Vault-Namespace: other", "a b", "tökén"])
def test_a_file_that_holds_no_token_is_not_sent(content: str) -> None:
    assert token.read(content) is None
    assert token.read("hvs.abc") == {"token": "hvs.abc"}


def test_what_vault_refuses_is_said_in_its_words_without_the_token(vault: World, tmp_path: Path) -> None:
    vault.roles(bound_subject="system:serviceaccount:payments:other")
    pod = VaultPod(vault, tmp_path)
    pod.tick()
    assert not pod.path.exists()
    (line,) = [line for line in pod.log.lines if line.get("result") == "Refused"]
    assert (line["reason"], line["status"]) == ("ConditionRejected", 400)
    assert "invalid subject (sub) claim" in str(line["detail"])
    assert pod.files.token("db").read_text() not in str(pod.log.lines)


def test_a_token_that_outlives_the_admission_is_not_delivered(vault: World, tmp_path: Path) -> None:
    vault.roles(token_ttl=7200, token_max_ttl=7200)
    pod = VaultPod(vault, tmp_path)
    pod.tick()
    assert pod.calls() == ["login", "revoke-self"], "it is not kept by anybody"
    assert not pod.path.exists()
    assert "would live longer" in str(pod.log.lines)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_process_revokes_when_the_pod_ends(vault: World, tmp_path: Path, number: int) -> None:
    vault.roles()
    where = PodFiles(tmp_path)
    where.put_plan(recipe())
    where.put_token(vault.issuer.token(READER, [vault.audience]), "db")
    made = admission(vault, where)
    sidecar = Sidecar(where, [made])
    path = Path(made.outputs[0].path)
    until(sidecar.ready, "the startup probe")
    token = path.read_text()
    assert vault.reads(token) == 200
    assert sidecar.end(number) == 0
    assert vault.reads(token) == 403
    assert not path.exists()
    assert token not in sidecar.output()


def test_a_killed_process_finds_its_token_again(vault: World, tmp_path: Path) -> None:
    vault.roles()
    where = PodFiles(tmp_path)
    where.put_plan(recipe())
    where.put_token(vault.issuer.token(READER, [vault.audience]), "db")
    made = admission(vault, where)
    sidecar = Sidecar(where, [made])
    until(sidecar.ready, "the startup probe")
    token = Path(made.outputs[0].path).read_text()
    sidecar.end(signal.SIGKILL)
    assert vault.reads(token) == 200
    sidecar.start()
    until(lambda: "goes on with the credential" in sidecar.output(), "the token is taken up again")
    assert sidecar.end() == 0
    assert vault.reads(token) == 403
