"""The Vault grant alone: what is asked, which replies are taken, what errors mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apostille_exchange import errors
from apostille_exchange.assertion import Assertion
from apostille_exchange.credential import Credential
from apostille_exchange.errors import ExchangeError
from apostille_exchange.grants import load
from apostille_exchange.grants.grant import Ask, Site
from apostille_exchange.messages import Endpoint, Reply
from apostille_exchange.recipe import Admission, RecipeError

GRANT = load("VaultJWT")
ASSERTION = Assertion("aaaaaaaaaaaa.bbbbbbbbbbbb.cccccccccccc", "system:serviceaccount:payments:reader", "jti-1")
ADMISSION = Admission("db", "VaultJWT", "https://v.example/v1/auth/jwt/login", "a", "/t", (), 3600)
TO = Endpoint("v.example", 443, "/v1/team/auth/jwt/a/login")
WANTED = {"role": "reader"}
SITE = Site(ADMISSION, TO)
ASK = Ask(SITE, WANTED, 900, ASSERTION)
HELD = Credential({"token": "hvs.held-token"}, 2000.0, "acc", 300.0)


def reply(status: int = 200, kind: str = "application/json", **auth: Any) -> Reply:
    good = {
        "client_token": "hvs.held-token",
        "accessor": "acc",
        "lease_duration": 300,
        "token_type": "service",
        "policies": ["default", "ledger"],
        "metadata": {"role": "reader"},
    }
    body = {"auth": {name: value for name, value in (good | auth).items() if value is not None}}
    return Reply(status, {"content-type": kind}, json.dumps(body).encode(), 1000.0)


def refusal(status: int, *words: str) -> Reply:
    return Reply(status, {"content-type": "application/json"}, json.dumps({"errors": list(words)}).encode())


def test_a_login_is_a_form_of_role_and_assertion() -> None:
    assert GRANT.request(ASK).fields == {"role": "reader", "jwt": ASSERTION.token}


@pytest.mark.parametrize("parameters", [{}, {"role": ""}, {"role": "Reader"}, {"role": "a/b"}, {"role": "a b"},
                                        {"role": "r\n"},
                                        {"role": "r", "policies": "root"}])  # fmt: skip
def test_parameters_that_are_not_a_roles_name(parameters: dict[str, str]) -> None:
    with pytest.raises(RecipeError, match=r"where\.(role|policies)"):
        GRANT.check(parameters, "where")


def test_what_a_login_yields() -> None:
    got = GRANT.read(reply(), ASK)
    assert (got.values, got.expires, got.lease, got.public) == ({"token": "hvs.held-token"}, 1300.0, 300.0, "acc")
    assert "hvs" not in repr(got)


@pytest.mark.parametrize(
    "bad",
    [
        reply(kind="text/html"),
        Reply(200, {"content-type": "application/json"}, b"no"),
        Reply(200, {"content-type": "application/json"}, b"[]"),
        Reply(200, {"content-type": "application/json"}, b'{"auth": null}'),
        Reply(200, {"content-type": "application/json"}, b"[" * 60000),
        reply(client_token=None),
        reply(client_token=""),
        reply(client_token="hvs.a b\r\nX: y"),
        reply(client_token=1),
        reply(accessor=None),
        reply(lease_duration=None),
        reply(lease_duration=0),
        reply(lease_duration=-1),
        reply(lease_duration="300"),
        reply(lease_duration=True),
        reply(token_type="batch"),
        reply(token_type=None),
        reply(metadata=None),
        reply(metadata={"role": "writer"}),
        reply(policies=["default", "root"]),
        reply(policies=None),
        reply(204),
    ],
)
def test_replies_that_are_not_a_login(bad: Reply) -> None:
    with pytest.raises(ExchangeError) as found:
        GRANT.read(bad, ASK)
    assert "hvs" not in f"{found.value}{found.value.detail}"


@pytest.mark.parametrize(
    ("answer", "reason", "permanent"),
    [
        (refusal(400, "error validating token: invalid issuer (iss) claim"), errors.ISSUER_UNKNOWN, True),
        (refusal(400, "error validating token: invalid audience (aud) claim: x"), errors.AUDIENCE_MISMATCH, True),
        (
            refusal(400, "audience claim found in JWT but no audiences bound to the role"),
            errors.AUDIENCE_MISMATCH,
            True,
        ),
        (refusal(400, "error validating token: invalid subject (sub) claim"), errors.CONDITION_REJECTED, True),
        (refusal(400, 'error validating claims: claim "sub" does not match'), errors.CONDITION_REJECTED, True),
        (refusal(400, "invalid expiration time (exp) claim: token is expired"), errors.TOKEN_EXPIRED, True),
        (refusal(400, "error verifying token signature: x"), errors.SIGNATURE_INVALID, True),
        (refusal(400, 'role "nope" could not be found'), errors.MISCONFIGURED, True),
        (refusal(403, "permission denied"), errors.CONDITION_REJECTED, True),
        (refusal(404, "no handler for route"), errors.MISCONFIGURED, True),
        (refusal(429), errors.RATE_LIMITED, False),
        (refusal(503, "Vault is sealed"), errors.UNAVAILABLE, False),
        (refusal(472), errors.UNAVAILABLE, False),
        (refusal(500, "internal error"), errors.UNAVAILABLE, False),
        (Reply(400, {"content-type": "text/html"}, b"<html>"), errors.UNKNOWN, True),
        (Reply(400, {"content-type": "application/json"}, b"[1]"), errors.UNKNOWN, True),
    ],
)
def test_what_errors_mean(answer: Reply, reason: str, permanent: bool) -> None:
    with pytest.raises(ExchangeError) as found:
        GRANT.read(answer, ASK)
    assert (found.value.reason, found.value.permanent, found.value.status) == (reason, permanent, answer.status)


def test_an_error_that_echoes_the_assertion_is_cut() -> None:
    with pytest.raises(ExchangeError) as found:
        GRANT.read(refusal(400, f"bad token {ASSERTION.token}"), ASK)
    assert not any(part in found.value.detail for part in ASSERTION.token.split("."))


def test_follow_ups_stay_with_host_and_namespace() -> None:
    for call, asked in (("renew", GRANT.renewal(SITE, HELD)), ("revoke", GRANT.revocation(SITE, HELD, None))):
        assert asked.endpoint == Endpoint("v.example", 443, f"/v1/team/auth/token/{call}-self")
        assert asked.headers == {"X-Vault-Token": "hvs.held-token"}
        assert "hvs" not in repr(asked)
    with pytest.raises(ExchangeError, match="no auth method"):
        GRANT.renewal(Site(ADMISSION, Endpoint("v.example", 443, "/v1/login")), HELD)


def test_a_renewal_lasts_from_now_and_keeps_what_was_granted_at_first() -> None:
    got = GRANT.renewed(reply(lease_duration=200), HELD)
    assert got is not None
    assert (got.values, got.expires, got.lease) == (HELD.values, 1200.0, 300.0)


def test_a_renewal_near_the_ceiling_asks_for_a_new_login() -> None:
    assert GRANT.renewed(reply(lease_duration=149), HELD) is None
    assert GRANT.renewed(reply(lease_duration=150), HELD) is not None


def test_a_renewal_of_another_token_is_none() -> None:
    with pytest.raises(ExchangeError, match="another token"):
        GRANT.renewed(reply(client_token="hvs.other-token"), HELD)
    with pytest.raises(ExchangeError) as found:
        GRANT.renewed(refusal(403, "permission denied"), HELD)
    assert found.value.permanent


def test_revoked_is_what_is_no_more() -> None:
    for status in (204, 200, 403):
        GRANT.revoked(refusal(status), HELD)
    for status in (400, 429, 500, 503):
        with pytest.raises(ExchangeError):
            GRANT.revoked(refusal(status), HELD)
