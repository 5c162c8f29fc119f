"""The real Vault of the testbed, as far as the product rests on how it behaves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import hvac
import hvac.exceptions
import pytest

from apostille.parties.vault import documents
from apostille_testbed.parties import party
from apostille_testbed.parties.issuers import IssuerSite
from apostille_testbed.parties.vault import VaultParty
from self_hosted import READER, URL, VAULTS, issuer_site
from testbed.strict_sts_issuer import Issuer, new_key

pytestmark = pytest.mark.e2e

AUDIENCE = "https://vault.example/v1/auth/jwt"


@dataclass
class World:
    issuer: Issuer
    site: IssuerSite
    vault: VaultParty

    def token(self, subject: str = READER, audience: Any = AUDIENCE, **changes: Any) -> str:
        return self.issuer.token(subject, audience, **changes)

    def apply(self, mount: str, **roles: dict[str, Any]) -> None:
        self.vault.apply(mount, documents.render(documents.VaultAccess(documents.config(URL, ["RS256"]), roles)))


@pytest.fixture(scope="module", params=VAULTS)
def vault(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with issuer_site(tmp_path_factory.mktemp("issuer")) as (issuer, site), party(request.param, site=site) as running:
        yield World(issuer, site, running)


def role(**changes: Any) -> dict[str, Any]:
    return {**documents.role(AUDIENCE, [READER], ["ledger"], 900), **changes}


def soon(seconds: int) -> int:
    return int(time.time()) + seconds


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"subject": READER + "2"}, "invalid subject (sub) claim"),
        ({"audience": "other"}, "invalid audience (aud) claim"),
        ({"iss": "https://evil.example"}, "invalid issuer (iss) claim"),
        ({"exp": soon(-120)}, "token is expired"),
        ({"nbf": soon(3600), "iat": soon(3600)}, "token not yet valid"),
    ],
)
def test_what_is_rendered_is_what_it_judges_by(vault: World, changes: dict[str, Any], words: str) -> None:
    vault.apply("jwt", reader=role())
    good = vault.vault.login("jwt", "reader", vault.token())
    assert good.status == 200
    assert good.body["auth"]["policies"] == ["default", "ledger"]
    assert (good.body["auth"]["lease_duration"], good.body["auth"]["renewable"]) == (300, True)
    refused = vault.vault.login("jwt", "reader", vault.token(**changes))
    assert refused.status == 400
    assert words in refused.errors


def test_the_vendors_client_logs_in_with_what_is_rendered(vault: World) -> None:
    vault.apply("jwt", reader=role())
    client = hvac.Client(url=vault.vault.url, verify=str(vault.vault.ca))
    client.token = client.auth.jwt.jwt_login(role="reader", jwt=vault.token(), path="jwt")["auth"]["client_token"]
    try:
        assert client.auth.token.lookup_self()["data"]["policies"] == ["default", "ledger"]
        client.auth.token.revoke_self()
        with pytest.raises(hvac.exceptions.InvalidRequest, match="invalid subject"):
            client.auth.jwt.jwt_login(role="reader", jwt=vault.token(READER + "2"), path="jwt")
    finally:
        client.adapter.close()


def test_forged_signatures(vault: World) -> None:
    vault.apply("jwt", reader=role())
    claims = vault.issuer.claims(READER, AUDIENCE)
    forger = Issuer(URL, "RS256")
    for token in (vault.issuer.unsigned(claims), vault.issuer.symmetric(claims), forger.sign(claims), "x", ""):
        assert vault.vault.login("jwt", "reader", token).status == 400


def test_applying_again_narrows_what_somebody_had_widened(vault: World) -> None:
    """A write of a role changes only the fields that it names: all that could let in more must be named."""
    vault.apply("jwt", reader=role())
    broad = {
        "role_type": "jwt", "user_claim": "sub", "bound_subject": "", "bound_audiences": [AUDIENCE, "more"],
        "bound_claims": {"sub": "system:*"}, "bound_claims_type": "glob", "groups_claim": "groups", "token_period": 600,
        "clock_skew_leeway": 5000, "expiration_leeway": 100, "not_before_leeway": 100, "token_policies": ["root-like"],
        "token_num_uses": 7,
    }  # fmt: skip
    path = "auth/jwt/role/reader"
    assert vault.vault.call("POST", path, vault.vault.root_token, broad).status == 204
    assert vault.vault.login("jwt", "reader", vault.token(READER + "2", "more", groups=[])).status == 200
    vault.apply("jwt", reader=role())
    assert vault.vault.login("jwt", "reader", vault.token(READER + "2", groups=[])).status == 400
    stored = vault.vault.call("GET", path, vault.vault.root_token).body["data"]
    assert {name: stored[name] for name in role()} == role()


def test_without_bound_issuer_nothing_compares_it(vault: World) -> None:
    """Why VLT-NO-ISSUER refuses: a discovery URL does not bind the issuer."""
    vault.apply("jwt-open", reader=role())
    config = documents.config(URL, ["RS256"]) | {"bound_issuer": ""}
    assert vault.vault.call("POST", "auth/jwt-open/config", vault.vault.root_token, config).status == 204
    assert vault.vault.login("jwt-open", "reader", vault.token(iss="https://evil.example")).status == 200


def test_leeways_as_rendered_are_a_minute_of_clock_skew(vault: World) -> None:
    vault.apply("jwt", reader=role())
    assert vault.vault.login("jwt", "reader", vault.token(exp=soon(-20))).status == 200
    assert vault.vault.login("jwt", "reader", vault.token(exp=soon(-80))).status == 400


def test_the_default_policy_lets_a_token_renew_and_revoke_itself(vault: World) -> None:
    """Why the default policy stays: without it the sidecar could do neither."""
    vault.apply("jwt", reader=role(token_policies=[]), bare=role(token_policies=[], token_no_default_policy=True))
    for name, status in (("reader", 200), ("bare", 403)):
        token = vault.vault.login("jwt", name, vault.token()).body["auth"]["client_token"]
        assert vault.vault.call("POST", "auth/token/renew-self", token, {}).status == status
        assert vault.vault.call("POST", "auth/token/revoke-self", token, {}).status == (204 if status == 200 else 403)


def test_renewal_never_passes_the_ceiling_and_needs_the_role(vault: World) -> None:
    vault.apply("jwt", reader=role(token_ttl=300, token_max_ttl=310))
    token = vault.vault.login("jwt", "reader", vault.token()).body["auth"]["client_token"]
    renewed = vault.vault.call("POST", "auth/token/renew-self", token, {"increment": 3600})
    assert renewed.body["auth"]["lease_duration"] <= 310
    assert renewed.body["warnings"]
    vault.apply("jwt")
    assert vault.vault.call("POST", "auth/token/renew-self", token, {}).status >= 400
    assert "could not be found" in vault.vault.login("jwt", "reader", vault.token()).errors


def test_a_new_signing_key_is_read_when_it_is_seen(vault: World) -> None:
    vault.apply("jwt", reader=role())
    assert vault.vault.login("jwt", "reader", vault.token()).status == 200
    vault.issuer.rotate(f"key-{time.monotonic_ns()}")
    assert vault.vault.login("jwt", "reader", vault.token()).status == 200
    vault.issuer.signing = new_key("RS256")
    assert vault.vault.login("jwt", "reader", vault.token()).status == 400
    vault.issuer.rotate(f"key-{time.monotonic_ns()}")


def test_a_killed_server_comes_back_with_what_it_knew(vault: World) -> None:
    vault.apply("jwt", reader=role())
    vault.vault.write_policy("ledger", 'path "secret/data/ledger" { capabilities = ["read"] }')
    vault.vault.write_secret("ledger", {"balance": "7"})
    token = vault.vault.login("jwt", "reader", vault.token()).body["auth"]["client_token"]
    before = vault.vault.url
    vault.vault.stop()
    with pytest.raises(OSError, match=r".*"):
        vault.vault.call("GET", "sys/health")
    vault.vault.start()
    assert vault.vault.url == before
    assert vault.vault.read_secret("ledger", token).body["data"]["data"] == {"balance": "7"}
    assert vault.vault.read_secret("other", token).status == 403


def test_an_issuer_that_is_away_is_refused_when_it_is_configured(vault: World) -> None:
    vault.site.stop()
    try:
        with pytest.raises(RuntimeError, match=r"config\.json: 400 error checking oidc discovery URL"):
            vault.apply("jwt-away", reader=role())
    finally:
        vault.site.start()
