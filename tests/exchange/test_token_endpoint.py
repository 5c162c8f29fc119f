"""The grants of OAuth token endpoints alone: what is asked on the wire, which replies are taken, what errors mean."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

import pytest

from apostille_exchange import errors
from apostille_exchange.assertion import Assertion
from apostille_exchange.credential import Credential
from apostille_exchange.errors import ExchangeError
from apostille_exchange.grants import load
from apostille_exchange.grants.grant import Ask, Grant, Site
from apostille_exchange.messages import Endpoint, Reply
from apostille_exchange.recipe import Admission, RecipeError

ASSERTION = Assertion("aaaaaaaaaaaa.bbbbbbbbbbbb.cccccccccccc", "system:serviceaccount:payments:reader", "jti-1")
TO = Endpoint("sts.example", 443, "/token")
REVOKE = Endpoint("sts.example", 443, "/revoke")
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
JWT = "urn:ietf:params:oauth:token-type:jwt"
ACCESS = "urn:ietf:params:oauth:token-type:access_token"
CLIENT = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def admitted(name: str, **settings: str) -> tuple[Grant, Site]:
    """The grant as a pod was admitted to it."""
    grant = load(name)
    endpoints = {"revocation": "https://sts.example/revoke"} if settings.pop("revocation", "") else {}
    admission = Admission(
        "b", name, "https://sts.example/token", "a", "/t", (), 3600, endpoints=endpoints, settings=settings
    )
    grant.admit(admission)
    return grant, Site(admission, TO, dict.fromkeys(endpoints, REVOKE))


def asked(name: str, parameters: dict[str, str], **settings: str) -> dict[str, Any]:
    """What goes over the wire: the fields of the request."""
    grant, site = admitted(name, **settings)
    grant.check(parameters, "where")
    request = grant.request(Ask(site, parameters, 900, ASSERTION))
    assert request.endpoint == TO
    if request.as_json:
        document: dict[str, Any] = json.loads(request.body())
        return document | {"headers": dict(request.headers)}
    return {name: values[0] for name, values in parse_qs(request.body().decode()).items()}


def reply(status: int = 200, kind: str = "application/json", **members: Any) -> Reply:
    good = {"access_token": "an-access-token", "token_type": "Bearer", "expires_in": 300}
    body = good | members if status == 200 else members
    text = json.dumps({name: value for name, value in body.items() if value is not None})
    return Reply(status, {"content-type": kind}, text.encode(), 1000.0)


@pytest.mark.parametrize(
    ("name", "parameters", "settings", "expected"),
    [
        ("TokenExchange", {}, {}, {"grant_type": EXCHANGE, "subject_token": ASSERTION.token, "subject_token_type": JWT,
                                   "requested_token_type": ACCESS}),
        ("TokenExchange", {"clientID": "c", "scope": "a b", "audience": "x", "resource": "https://r.example/"}, {},
         {"grant_type": EXCHANGE, "subject_token": ASSERTION.token, "subject_token_type": JWT,
          "requested_token_type": ACCESS, "client_id": "c", "scope": "a b", "audience": "x",
          "resource": "https://r.example/"}),
        ("JWTBearer", {"clientID": "c", "scope": "read"}, {},
         {"grant_type": BEARER, "assertion": ASSERTION.token, "client_id": "c", "scope": "read"}),
        ("JWTBearer", {}, {"clientAssertion": "true"},
         {"grant_type": BEARER, "assertion": ASSERTION.token, "client_assertion": ASSERTION.token,
          "client_assertion_type": CLIENT}),
        ("ClientAssertion", {"scope": "read"}, {},
         {"grant_type": "client_credentials", "client_assertion": ASSERTION.token, "client_assertion_type": CLIENT,
          "scope": "read"}),
        ("Anthropic", {"ruleID": "fdrl_1", "serviceAccountID": "svac_1", "workspaceID": "wrkspc_1"},
         {"organizationID": "org-1"},
         {"grant_type": BEARER, "assertion": ASSERTION.token, "federation_rule_id": "fdrl_1",
          "organization_id": "org-1", "service_account_id": "svac_1", "workspace_id": "wrkspc_1",
          "headers": {"anthropic-beta": "oauth-2025-04-20,oidc-federation-2026-04-01"}}),
        ("OpenAI", {"serviceAccountID": "sa_1"}, {"identityProviderID": "idp_1"},
         {"grant_type": EXCHANGE, "subject_token": ASSERTION.token, "subject_token_type": JWT,
          "identity_provider_id": "idp_1", "service_account_id": "sa_1", "headers": {}}),
        ("Kernel", {"ruleID": "rule_1"}, {}, {"grant_type": BEARER, "assertion": ASSERTION.token,
                                              "federation_rule_id": "rule_1"}),
    ],
)  # fmt: skip
def test_on_the_wire(name: str, parameters: dict[str, str], settings: dict[str, str], expected: dict[str, Any]) -> None:
    assert asked(name, parameters, **settings) == expected


@pytest.mark.parametrize(
    ("name", "parameters", "field"),
    [
        ("TokenExchange", {"scope": ""}, "scope"),
        ("TokenExchange", {"scope": 'a "b"'}, "scope"),
        ("TokenExchange", {"scope": "a  b"}, "scope"),
        ("TokenExchange", {"audience": "a b"}, "audience"),
        ("TokenExchange", {"actor_token": "x"}, "actor_token"),
        ("JWTBearer", {"clientID": "a\n"}, "clientID"),
        ("JWTBearer", {"resource": "x"}, "resource"),
        ("Anthropic", {}, "ruleID"),
        ("Anthropic", {"ruleID": "a/b"}, "ruleID"),
        ("OpenAI", {}, "serviceAccountID"),
        ("Kernel", {"ruleID": ""}, "ruleID"),
    ],
)
def test_parameters_that_are_refused(name: str, parameters: dict[str, str], field: str) -> None:
    with pytest.raises(RecipeError, match=rf"where\.{field}: "):
        load(name).check(parameters, "where")


@pytest.mark.parametrize(
    ("name", "settings", "match"),
    [
        ("Anthropic", {}, "organizationID"),
        ("OpenAI", {"organizationID": "x", "identityProviderID": "y"}, "organizationID: not known"),
        ("TokenExchange", {"clientAssertion": "true"}, "clientAssertion: not known"),
        ("JWTBearer", {"singleUse": "no"}, "singleUse: must be true"),
        ("TokenExchange", {"revocation": "yes"}, r"endpoints\.revocation: not known"),
    ],
)
def test_admissions_that_are_refused(name: str, settings: dict[str, str], match: str) -> None:
    with pytest.raises(RecipeError, match=match):
        admitted(name, **settings)


def read(name: str, answer: Reply, **parameters: str) -> Credential:
    grant, site = admitted(name, **({"organizationID": "o"} if name == "Anthropic" else {}))
    got = grant.read(answer, Ask(site, parameters, 900, ASSERTION))
    assert isinstance(got, Credential)
    return got


def test_what_a_reply_yields() -> None:
    got = read("JWTBearer", reply(refresh_token="never-used"))
    assert (got.values, got.expires) == ({"token": "an-access-token"}, 1300.0)
    assert "an-access" not in repr(got)
    assert read("Anthropic", reply(token_type=None)).values == {"token": "an-access-token"}
    exchanged = read("TokenExchange", reply(issued_token_type=ACCESS, scope="a"), scope="a b")
    assert exchanged.values == {"token": "an-access-token"}


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("JWTBearer", reply(token_type=None)),
        ("JWTBearer", reply(token_type="DPoP")),
        ("Anthropic", reply(token_type="N_A")),
        ("TokenExchange", reply()),
        ("TokenExchange", reply(issued_token_type="urn:ietf:params:oauth:token-type:refresh_token")),
        ("JWTBearer", reply(access_token=ASSERTION.token)),
        ("JWTBearer", reply(access_token="two\r\nlines-of-it")),
        ("JWTBearer", reply(access_token=None)),
        ("JWTBearer", reply(expires_in=-1)),
        ("JWTBearer", reply(kind="text/html")),
        ("JWTBearer", reply(scope="read write")),
    ],
)
def test_replies_that_are_not_taken(name: str, answer: Reply) -> None:
    with pytest.raises(ExchangeError) as caught:
        read(name, answer, scope="read")
    assert caught.value.reason == errors.BAD_REPLY
    assert ASSERTION.token not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "words", "reason", "permanent"),
    [
        # Keycloak 26.7.3 (test_keycloak_server.py)
        (400, "invalid_client", "Invalid token audience", errors.AUDIENCE_MISMATCH, True),
        (400, "invalid_client", "Multiple audiences not allowed", errors.AUDIENCE_MISMATCH, True),
        (400, "invalid_client", "Token is not active", errors.TOKEN_EXPIRED, True),
        (400, "invalid_client", "Token was issued too far in the past to be used now", errors.TOKEN_EXPIRED, True),
        (401, "invalid_client", "Invalid client or Invalid client credentials", errors.CONDITION_REJECTED, True),
        (400, "invalid_grant", "User not found", errors.SUBJECT_MISMATCH, True),
        (400, "invalid_grant", "No Identity Provider for provided issuer", errors.ISSUER_UNKNOWN, True),
        (400, "invalid_grant", "Invalid signature", errors.SIGNATURE_INVALID, True),
        (400, "invalid_grant", "Token reuse detected", errors.ASSERTION_USED, False),
        # Ory Hydra v2.3.0 (test_hydra_server.py)
        (400, "jti_known", "The jti was already used.", errors.ASSERTION_USED, False),
        (400, "invalid_grant", "The JWT in 'assertion' request parameter expired.", errors.TOKEN_EXPIRED, True),
        (400, "invalid_grant", "Unable to verify the integrity of the 'assertion' value.", errors.SIGNATURE_INVALID,
         True),
        (400, "invalid_scope", "not allowed to request scope 'admin'", errors.MISCONFIGURED, True),
        # RFC 6749 §5.2, RFC 8693 §2.2.2
        (400, "invalid_target", "", errors.TARGET_MISSING, True),
        (400, "invalid_grant", "", errors.CONDITION_REJECTED, True),
        (429, "", "", errors.RATE_LIMITED, False),
        (503, "", "", errors.UNAVAILABLE, False),
    ],
)  # fmt: skip
def test_what_refusals_mean(status: int, code: str, words: str, reason: str, permanent: bool) -> None:
    with pytest.raises(ExchangeError) as caught:
        read("JWTBearer", reply(status, error=code, error_description=f"{words} {ASSERTION.token}"))
    assert (caught.value.reason, caught.value.permanent) == (reason, permanent)
    assert ASSERTION.token not in caught.value.detail


def test_revocation_authenticates_with_the_assertion_that_is_there() -> None:
    grant, site = admitted("ClientAssertion", clientAssertion="true", revocation="yes")
    held = Credential({"token": "an-access-token"}, 2000.0, "p")
    request = grant.revocation(site, held, ASSERTION)
    assert request.endpoint == REVOKE
    assert request.fields == {
        "token": "an-access-token",
        "token_type_hint": "access_token",
        "client_assertion_type": CLIENT,
        "client_assertion": ASSERTION.token,
    }
    assert "client_assertion" not in grant.revocation(site, held, None).fields
    grant.revoked(Reply(200, {}, b""), held)
    with pytest.raises(ExchangeError):
        grant.revoked(reply(401, error="invalid_client"), held)


def test_whether_it_can_be_taken_back_is_the_admissions_to_say() -> None:
    with_it, _ = admitted("ClientAssertion", revocation="yes")
    without, _ = admitted("ClientAssertion")
    assert (with_it.revocable, without.revocable, without.single_use) == (True, False, False)
    once, _ = admitted("JWTBearer", singleUse="true")
    assert once.single_use
