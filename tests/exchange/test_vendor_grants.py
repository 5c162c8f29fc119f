"""The grants of Databricks and HCP: what they ask, which replies they take, and what they make of refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest

from apostille_exchange import errors, grants
from apostille_exchange.assertion import Assertion
from apostille_exchange.credential import Credential
from apostille_exchange.errors import ExchangeError
from apostille_exchange.grants.grant import Ask, Site
from apostille_exchange.messages import Endpoint, Reply
from apostille_exchange.recipe import Admission, RecipeError
from exchange.scene import token

CLIENT = "aaaaaaaa-bbbb-cccc-dddd-000000000000"
TOKEN = token()
GOOD: dict[str, Any] = {"access_token": "granted-token", "token_type": "Bearer", "expires_in": 600}
KINDS = {"DatabricksTokenExchange": {"clientID": CLIENT}, "HCPWorkload": {}}


def ask(kind: str) -> Ask:
    admission = Admission("b", kind, "https://x.example/p", "aud", "/token", (), 3600)
    assertion = Assertion(TOKEN, "system:serviceaccount:payments:reader", "jti", 0.0)
    return Ask(Site(admission, Endpoint("x.example", 443, "/p")), KINDS[kind], 3600, assertion)


def reply(document: Any, status: int = 200, kind: str = "application/json") -> Reply:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return Reply(status, {"content-type": kind}, body, received=1000.0)


def test_databricks_is_asked_as_its_sdk_asks() -> None:
    request = grants.load("DatabricksTokenExchange").request(ask("DatabricksTokenExchange"))
    assert not request.as_json
    assert dict(request.fields) == {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "scope": "all-apis",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "subject_token": TOKEN,
        "client_id": CLIENT,
    }


def test_hcp_is_asked_in_json() -> None:
    request = grants.load("HCPWorkload").request(ask("HCPWorkload"))
    assert (request.as_json, dict(request.fields)) == (True, {"jwt_token": TOKEN})


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_reply(kind: str) -> None:
    found = grants.load(kind).read(reply(GOOD), ask(kind))
    assert isinstance(found, Credential)
    assert (dict(found.values), found.expires) == ({"token": "granted-token"}, 1600.0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "bad",
    [
        reply(b"{"),
        reply(b"[]"),
        reply(GOOD, kind="text/html"),
        reply(GOOD | {"access_token": ""}),
        reply(GOOD | {"access_token": TOKEN}),
        reply(GOOD | {"access_token": "a b c d e f g"}),
        reply(GOOD | {"expires_in": -1}),
        reply(GOOD | {"expires_in": True}),
        reply(b'{"access_token":"granted-token","access_token":"other-token","token_type":"Bearer","expires_in":1}'),
    ],
)
def test_a_bad_reply_is_none(kind: str, bad: Reply) -> None:
    with pytest.raises(ExchangeError) as refused:
        grants.load(kind).read(bad, ask(kind))
    assert refused.value.reason == errors.BAD_REPLY
    assert "granted-token" not in str(refused.value)
    assert TOKEN not in str(refused.value)


def test_a_databricks_token_for_more_than_was_asked_is_refused() -> None:
    with pytest.raises(ExchangeError, match="scope"):
        grants.load("DatabricksTokenExchange").read(
            reply(GOOD | {"scope": "all-apis sql"}), ask("DatabricksTokenExchange")
        )


def test_hcp_has_to_say_when_its_token_ends() -> None:
    with pytest.raises(ExchangeError, match="expires_in"):
        grants.load("HCPWorkload").read(reply({"access_token": "granted-token"}), ask("HCPWorkload"))


@pytest.mark.parametrize(
    ("kind", "status", "document", "reason", "permanent"),
    [
        ("DatabricksTokenExchange", 400, {"error": "invalid_grant", "error_description":
         "Failed to process token: TOKEN_AUDIENCE_INVALID (…)"}, errors.AUDIENCE_MISMATCH, True),
        ("DatabricksTokenExchange", 400, {"error": "invalid_grant", "error_description":
         "Failed to process token: TOKEN_INVALID (Ensure a valid federation policy has been configured). Valid "
         "federation policy for provided token: {issuer: 'https://x', subject: 's', audience: 'a'}"},
         errors.CONDITION_REJECTED, False),
        ("DatabricksTokenExchange", 400, {"error": "invalid_request"}, errors.MISCONFIGURED, True),
        ("DatabricksTokenExchange", 401, {"error": "invalid_client"}, errors.CONDITION_REJECTED, True),
        ("DatabricksTokenExchange", 429, {}, errors.RATE_LIMITED, False),
        ("DatabricksTokenExchange", 503, {}, errors.UNAVAILABLE, False),
        ("HCPWorkload", 401, {"code": 16, "message": "the audience is not allowed"}, errors.CONDITION_REJECTED, True),
        ("HCPWorkload", 403, {"code": 7, "message": "x"}, errors.CONDITION_REJECTED, True),
        ("HCPWorkload", 404, {"code": 5, "message": "x"}, errors.TARGET_MISSING, True),
        ("HCPWorkload", 400, {"code": 3, "message": "x"}, errors.MISCONFIGURED, True),
        ("HCPWorkload", 418, {"code": "no", "message": 7}, errors.UNKNOWN, True),
        ("HCPWorkload", 502, {}, errors.UNAVAILABLE, False),
    ],
)  # fmt: skip
def test_refusals(kind: str, status: int, document: dict[str, Any], reason: str, permanent: bool) -> None:
    with pytest.raises(ExchangeError) as refused:
        grants.load(kind).read(reply(document, status), ask(kind))
    assert (refused.value.reason, refused.value.permanent) == (reason, permanent)


@pytest.mark.parametrize("kind", KINDS)
def test_what_echoes_the_assertion_is_not_repeated(kind: str) -> None:
    told = {"error": "invalid_grant", "error_description": f"bad {TOKEN}", "message": f"bad {TOKEN}", "code": 16}
    with pytest.raises(ExchangeError) as refused:
        grants.load(kind).read(reply(told, 400), ask(kind))
    assert TOKEN not in str(refused.value) + refused.value.detail


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("DatabricksTokenExchange", {}),
        ("DatabricksTokenExchange", {"clientID": "7"}),
        ("DatabricksTokenExchange", {"clientID": CLIENT.upper()}),
        ("DatabricksTokenExchange", {"clientID": CLIENT, "scope": "sql"}),
        ("HCPWorkload", {"provider": "x"}),
    ],
)
def test_parameters_that_are_not_known_or_not_right(kind: str, parameters: dict[str, str]) -> None:
    grants.load(kind).check(KINDS[kind], "p")
    with pytest.raises(RecipeError, match=r"^p\."):
        grants.load(kind).check(parameters, "p")
