"""AssumeRoleWithWebIdentity at the strict STS over HTTPS: the negative matrix of cloud-trust §18.4, and the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from testbed.strict_sts_issuer import Issuer, new_key, public_jwk, served
from testbed.strict_sts_world import (
    ACCOUNT,
    AUDIENCE,
    HOST,
    ISSUER,
    ROLE,
    SUBJECT,
    World,
    assume,
    members,
    policy,
    provider,
    role,
    world,
)

NO_KEY = "Couldn't retrieve verification key from your identity provider"
DENIED = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
NO_PROVIDER = "No OpenIDConnect provider found in your account for "
SIGNATURE = "Token signature invalid"
NOT_A_JWT = "The ID Token provided is not a valid JWT"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One world for the tests that change nothing in it."""
    with world(tmp_path_factory.mktemp("sts")) as running:
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Iterator[World]:
    """A world for one test."""
    with world(tmp_path) as running:
        yield running


def test_a_good_token_gives_a_session(shared: World) -> None:
    answer = assume(shared.aws, shared.token())
    assert answer.code == "OK"
    assert answer.element("AccessKeyId").startswith("ASIA")
    assert answer.element("SubjectFromWebIdentityToken") == SUBJECT
    assert answer.element("Audience") == AUDIENCE
    assert answer.element("Provider") == ISSUER
    assert answer.element("Arn") == f"arn:aws:sts::{ACCOUNT}:assumed-role/payments-reader/payments-reader"
    assert answer.text.startswith(
        '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        "<AssumeRoleWithWebIdentityResult><Credentials>"
    )
    assert answer.text.endswith("</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>")


def test_json_for_clients_that_ask_for_it(shared: World) -> None:
    good = members(assume(shared.aws, shared.token(), accept="application/json"))
    result = good["AssumeRoleWithWebIdentityResponse"]["AssumeRoleWithWebIdentityResult"]
    assert result["Credentials"]["Expiration"] == pytest.approx(time.time() + 3600, abs=30)
    bad = members(assume(shared.aws, shared.token(audience="other"), accept="application/json"))
    assert bad["Error"] == {
        "Type": "Sender",
        "Code": "InvalidIdentityToken",
        "Message": "Incorrect token audience",
    }


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512", "ES384", "ES512"])
def test_every_algorithm_that_sts_documents(tmp_path: Path, algorithm: str) -> None:
    with world(tmp_path, algorithm) as running:
        assert assume(running.aws, running.token()).code == "OK"
        forged = running.token()[:-8] + "AAAAAAAA"
        assert assume(running.aws, forged).message == SIGNATURE


def _header(**changes: Any) -> Callable[[World], str]:
    def make(running: World) -> str:
        header = {"alg": "ES256", "kid": "key-1"} | changes
        used = {name: value for name, value in header.items() if value is not None}
        return running.issuer.sign(running.issuer.claims(SUBJECT, AUDIENCE), used)

    return make


def _claims(subject: str = SUBJECT, audience: str | list[str] = AUDIENCE, **changes: Any) -> Callable[[World], str]:
    return lambda running: running.token(subject, audience, **changes)


def _soon(seconds: int) -> int:
    return int(time.time()) + seconds


INVALID = "InvalidIdentityToken"


@pytest.mark.parametrize(
    ("make", "status", "code", "message"),
    [
        pytest.param(_claims(iss="https://x.example"), 400, INVALID, NO_PROVIDER + "https://x.example", id="wrong iss"),
        pytest.param(_claims(iss=ISSUER + "/"), 400, INVALID, NO_PROVIDER + ISSUER + "/", id="trailing-slash iss"),
        pytest.param(_claims(iss=ISSUER.upper()), 400, INVALID, NO_PROVIDER, id="iss in upper case"),
        pytest.param(_claims(iss=HOST), 400, INVALID, NO_PROVIDER, id="iss without scheme"),
        pytest.param(_claims(audience="other"), 400, INVALID, "Incorrect token audience", id="wrong aud"),
        pytest.param(_claims(audience=[AUDIENCE + "/"]), 400, INVALID, "Incorrect token audience", id="aud with slash"),
        pytest.param(_claims(audience=["a", "b"]), 400, INVALID, "Incorrect token audience", id="two wrong auds"),
        pytest.param(_claims(SUBJECT + "-2"), 403, "AccessDenied", DENIED, id="wrong sub, same prefix"),
        pytest.param(_claims("system:serviceaccount:payments:reade"), 403, "AccessDenied", DENIED, id="sub cut short"),
        pytest.param(_claims(SUBJECT.upper()), 403, "AccessDenied", DENIED, id="sub in upper case"),
        pytest.param(_claims(iat=_soon(86400)), 400, INVALID, "not valid yet", id="iat in future"),
        pytest.param(_claims(nbf=_soon(86400)), 400, INVALID, "not valid yet", id="nbf in future"),
        pytest.param(_claims(exp=_soon(60) + 0.5), 400, INVALID, "must be an integer", id="fractional exp"),
        pytest.param(_claims(exp=str(_soon(60))), 400, INVALID, "must be an integer", id="exp as text"),
        pytest.param(_claims(iat=True), 400, INVALID, "must be an integer", id="boolean iat"),
        pytest.param(_claims(exp=None), 400, INVALID, "Missing a required claim: exp", id="no exp"),
        pytest.param(_claims(iat=None), 400, INVALID, "Missing a required claim: iat", id="no iat"),
        pytest.param(_claims(sub=None), 400, INVALID, "Missing a required claim: sub", id="no sub"),
        pytest.param(_claims(aud=None), 400, INVALID, "Missing a required claim: aud", id="no aud"),
        pytest.param(_claims(aud=[]), 400, INVALID, "Missing a required claim: aud", id="empty aud"),
        pytest.param(_claims(aud=[AUDIENCE, 1]), 400, INVALID, "Missing a required claim: aud", id="aud of a number"),
        pytest.param(_claims("s" * 256), 400, INVALID, "sub must have", id="long sub"),
        pytest.param(
            lambda running: running.issuer.unsigned(running.issuer.claims(SUBJECT, AUDIENCE)),
            400,
            INVALID,
            SIGNATURE,
            id="alg none",
        ),
        pytest.param(
            lambda running: running.issuer.symmetric(running.issuer.claims(SUBJECT, AUDIENCE)),
            400,
            INVALID,
            SIGNATURE,
            id="HS256 with the public key",
        ),
        pytest.param(_header(alg="ES384"), 400, INVALID, SIGNATURE, id="alg of another curve"),
        pytest.param(_header(alg="RS256"), 400, INVALID, SIGNATURE, id="alg of another key type"),
        pytest.param(_header(alg=["ES256"]), 400, INVALID, SIGNATURE, id="alg is a list"),
        pytest.param(_header(kid="key-2"), 400, INVALID, NO_KEY, id="unknown kid"),
        pytest.param(_header(kid=None), 400, INVALID, NO_KEY, id="missing kid"),
        pytest.param(_header(kid=""), 400, INVALID, NO_KEY, id="empty kid"),
        pytest.param(_header(crit=["x"]), 400, INVALID, NOT_A_JWT, id="unknown critical header"),
        pytest.param(lambda running: running.token()[:-8] + "AAAAAAAA", 400, INVALID, SIGNATURE, id="forged signature"),
        pytest.param(lambda running: running.token() + "=", 400, INVALID, NOT_A_JWT, id="padded"),
        pytest.param(lambda running: "e30.e30", 400, INVALID, NOT_A_JWT, id="two segments"),
        pytest.param(lambda running: "nonsense", 400, INVALID, NOT_A_JWT, id="nonsense"),
        pytest.param(lambda running: "", 400, "ValidationError", "length greater", id="empty"),
        pytest.param(lambda running: "a" * 20001, 400, "ValidationError", "length less", id="too long"),
    ],
)
def test_refused(shared: World, make: Callable[[World], str], status: int, code: str, message: str) -> None:
    token = make(shared)
    answer = assume(shared.aws, token)
    assert (answer.status, answer.code) == (status, code)
    assert message in answer.message
    assert not token or token not in answer.text


def test_a_reply_is_well_formed_whatever_the_token_says(shared: World) -> None:
    answer = assume(shared.aws, shared.token(iss="https://\x00<&\ud800"))
    assert ElementTree.fromstring(answer.text)[0][1].text == INVALID  # noqa: S314 - our own party's reply


def test_an_expired_token_says_when(own: World) -> None:
    expires = _soon(600)
    token = own.token(exp=expires)
    own.clock.ahead = 601
    answer = assume(own.aws, token)
    assert (answer.status, answer.code) == (400, "ExpiredTokenException")
    assert answer.message.startswith("Token expired: current date/time ")
    assert answer.message.endswith(f" must be before the expiration date/time {expires}")
    own.clock.ahead = 0
    assert assume(own.aws, token).code == "OK"


def test_faults_are_judged_in_the_vendors_order(own: World) -> None:
    own.aws.iam.apply_role(role(MaxSessionDuration=3600))
    past = {"exp": _soon(-60), "iat": _soon(-120), "nbf": _soon(-120)}
    token = own.issuer.token("system:serviceaccount:evil:x", "other", **past)
    forged = token[:-8] + "AAAAAAAA"
    other = {"DurationSeconds": "43200", "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/none"}
    assert assume(own.aws, "x.y.z", RoleSessionName="a b").code == "ValidationError"
    own.aws.iam.remove_provider(ISSUER)
    assert assume(own.aws, forged, **other).message == NO_PROVIDER + ISSUER
    own.aws.iam.apply_provider(provider())
    assert assume(own.aws, forged, **other).message == SIGNATURE
    assert assume(own.aws, token, **other).code == "ExpiredTokenException"
    token = own.token("system:serviceaccount:evil:x", "other")
    assert assume(own.aws, token, **other).message == "Incorrect token audience"
    token = own.token("system:serviceaccount:evil:x")
    assert assume(own.aws, token, DurationSeconds="43200").code == "AccessDenied"
    assert assume(own.aws, own.token(), DurationSeconds="43200").code == "ValidationError"
    assert assume(own.aws, own.token()).code == "OK"


def test_one_registered_audience_of_two_is_enough_for_the_provider_and_the_policy(shared: World) -> None:
    assert assume(shared.aws, shared.token(audience=["other", AUDIENCE])).code == "OK"


def test_a_registered_audience_that_the_policy_does_not_name(own: World) -> None:
    own.aws.iam.apply_provider(provider(ClientIDList=[AUDIENCE, "second"]))
    answer = assume(own.aws, own.token(audience="second"))
    assert (answer.code, answer.message) == ("AccessDenied", DENIED)


def test_extra_claims_change_nothing(shared: World) -> None:
    kubernetes = {"namespace": "payments", "serviceaccount": {"name": "reader", "uid": "u"}}
    extra: dict[str, Any] = {"kubernetes.io": kubernetes, f"{HOST}:sub": SUBJECT, "jti": "j"}
    assert assume(shared.aws, shared.token(**extra)).code == "OK"
    assert assume(shared.aws, shared.token("system:serviceaccount:evil:x", **extra)).code == "AccessDenied"


def test_a_rotated_key_is_followed_and_the_old_one_ends(tmp_path: Path) -> None:
    with world(tmp_path, key_cooldown=10, key_max_age=300) as running:
        old = running.token()
        assert assume(running.aws, old).code == "OK"
        running.issuer.rotate("key-2")
        new = running.token()
        # Unknown kids do not hammer the issuer: the next look comes after the cool-down.
        assert NO_KEY in assume(running.aws, new).message
        assert running.issuer.reads == 1
        assert assume(running.aws, old).code == "OK"
        running.clock.ahead = 11
        assert assume(running.aws, new).code == "OK"
        assert NO_KEY in assume(running.aws, old).message
        assert running.issuer.reads == 2


def test_a_withdrawn_key_ends_without_a_new_one(own: World) -> None:
    assert assume(own.aws, own.token()).code == "OK"
    own.issuer.jwks = []
    own.clock.ahead = 301
    assert NO_KEY in assume(own.aws, own.token()).message


def test_a_rotated_key_under_the_same_kid(own: World) -> None:
    old = own.token()
    assert assume(own.aws, old).code == "OK"
    own.issuer.rotate("key-1")
    own.clock.ahead = 301
    assert assume(own.aws, old).message == SIGNATURE
    assert assume(own.aws, own.token()).code == "OK"


def test_issuers_with_the_same_kid_are_not_confused(own: World, tmp_path: Path) -> None:
    other = Issuer("https://cluster-b.issuer.example")
    with served(other, tmp_path / "other") as (server, ca):
        own.aws.resolve(other.url, f"https://127.0.0.1:{server.port}", ca)
        own.aws.iam.apply_provider(provider(Url=other.url))
        assert assume(own.aws, own.token()).code == "OK"
        assert assume(own.aws, other.token(SUBJECT, AUDIENCE)).code == "AccessDenied"
        assert assume(own.aws, other.token(SUBJECT, AUDIENCE, iss=ISSUER)).message == SIGNATURE
        host = other.url.removeprefix("https://")
        own.aws.iam.apply_role(role("other", AssumeRolePolicyDocument=policy(host=host)))
        arn = ROLE.replace("payments-reader", "other")
        assert assume(own.aws, other.token(SUBJECT, AUDIENCE), RoleArn=arn).code == "OK"
        assert assume(own.aws, own.token(), RoleArn=arn).code == "AccessDenied"


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"key_ops": ["sign"]},
        {"alg": "ES384"},
        {"d": "AA"},
        {"kty": "oct", "k": "AA"},
        {"crv": "P-384"},
        {"x": "!"},
    ],
)
def test_keys_that_may_not_verify(own: World, change: dict[str, Any]) -> None:
    own.issuer.jwks[0] |= change
    assert assume(own.aws, own.token()).message == SIGNATURE


def test_a_key_set_may_hold_keys_of_other_kinds_under_one_kid(own: World) -> None:
    own.issuer.jwks.insert(0, public_jwk(new_key("ES384"), "ES384", "key-1"))
    own.issuer.jwks.insert(0, public_jwk(new_key("ES256"), "ES256", "key-1"))
    assert assume(own.aws, own.token()).code == "OK"


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": ISSUER + "/"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "http://127.0.0.1/openid/v1/jwks"},
        {"jwks_uri": f"{ISSUER}/elsewhere"},
        {"response_types_supported": None},
    ],
)
def test_discovery_must_be_the_issuers(own: World, change: dict[str, Any]) -> None:
    own.issuer.document |= change
    assert NO_KEY in assume(own.aws, own.token()).message


def test_a_key_set_at_the_issuers_own_address(own: World) -> None:
    own.issuer.document["jwks_uri"] = f"https://127.0.0.1:{own.keys.port}/openid/v1/jwks"
    assert assume(own.aws, own.token()).code == "OK"


def test_an_issuer_that_is_down_comes_back(own: World) -> None:
    own.keys.stop()
    assert NO_KEY in assume(own.aws, own.token()).message
    assert "Connection refused" in own.aws.exchanges[-1].detail
    own.keys.start()
    assert assume(own.aws, own.token()).code == "OK"


def test_an_issuer_behind_another_ca(own: World) -> None:
    own.aws.resolve(ISSUER, f"https://127.0.0.1:{own.keys.port}", own.aws.ca)
    assert NO_KEY in assume(own.aws, own.token()).message


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"Action": None}, "MissingAction"),
        ({"Action": "AssumeRole"}, "InvalidAction"),
        ({"Version": "2010-05-08"}, "InvalidAction"),
        ({"Version": None}, "InvalidAction"),
        ({"RoleArn": None}, "ValidationError"),
        ({"RoleArn": "arn:aws:iam::1:role"}, "ValidationError"),
        ({"RoleArn": "payments-reader-is-no-arn"}, "ValidationError"),
        ({"RoleArn": ROLE.replace("role/", "role/" + "a" * 2048)}, "ValidationError"),
        ({"RoleArn": ROLE + "2"}, "AccessDenied"),
        ({"RoleArn": ROLE.replace("role/", "role/team/")}, "AccessDenied"),
        ({"RoleArn": ROLE.replace("payments-reader", "Payments-Reader")}, "AccessDenied"),
        ({"RoleArn": ROLE.replace(ACCOUNT, "999999999999")}, "InvalidIdentityToken"),
        ({"RoleSessionName": None}, "ValidationError"),
        ({"RoleSessionName": "a"}, "ValidationError"),
        ({"RoleSessionName": "a" * 65}, "ValidationError"),
        ({"RoleSessionName": "a b"}, "ValidationError"),
        ({"RoleSessionName": "é€"}, "ValidationError"),
        ({"WebIdentityToken": None}, "ValidationError"),
        ({"DurationSeconds": "899"}, "ValidationError"),
        ({"DurationSeconds": "900"}, "OK"),
        ({"DurationSeconds": "3600"}, "OK"),
        ({"DurationSeconds": "3601"}, "ValidationError"),
        ({"DurationSeconds": "43201"}, "ValidationError"),
        ({"DurationSeconds": "1h"}, "MalformedInput"),
        ({"Policy": "{}"}, "ValidationError"),
        ({"ProviderId": "www.amazon.com"}, "ValidationError"),
    ],
)
def test_parameters(shared: World, changes: dict[str, Any], code: str) -> None:
    assert assume(shared.aws, shared.token(), **changes).code == code


def test_the_role_by_its_path_and_the_longer_session(own: World) -> None:
    own.aws.iam.apply_role(role(Path="/team/", MaxSessionDuration=43200))
    arn = ROLE.replace("role/", "role/team/")
    assert assume(own.aws, own.token(), RoleArn=arn, DurationSeconds="43200").code == "OK"
    assert assume(own.aws, own.token()).code == "AccessDenied"


def test_taking_the_trust_back_ends_exchanges(own: World) -> None:
    token = own.token()
    assert assume(own.aws, token).code == "OK"
    own.aws.iam.remove_role("payments-reader")
    assert assume(own.aws, token).code == "AccessDenied"
    own.aws.iam.remove_provider(ISSUER)
    assert assume(own.aws, token).message == NO_PROVIDER + ISSUER


def test_exchanges_are_recorded_without_tokens(own: World) -> None:
    token = own.token()
    assume(own.aws, token)
    assume(own.aws, own.token("system:serviceaccount:evil:x", ["other", AUDIENCE]))
    assume(own.aws, "nonsense")
    seen = own.aws.exchanges
    assert [(one.code, one.subject, one.audience, one.role) for one in seen] == [
        ("OK", SUBJECT, (AUDIENCE,), ROLE),
        ("AccessDenied", "system:serviceaccount:evil:x", ("other", AUDIENCE), ROLE),
        ("InvalidIdentityToken", "", (), ROLE),
    ]
    assert seen[0].time == pytest.approx(time.time(), abs=60)
    assert token not in repr(seen)


def test_faults_on_request(own: World) -> None:
    own.aws.fail_next(2, "IDPCommunicationError")
    codes = [assume(own.aws, own.token()).code for _ in range(3)]
    assert codes == ["IDPCommunicationError", "IDPCommunicationError", "OK"]
    own.aws.outage(True)
    answer = assume(own.aws, own.token())
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    own.aws.outage(False)
    assert assume(own.aws, own.token()).code == "OK"


def test_killed_and_back_on_the_same_port(own: World) -> None:
    port = own.aws.port
    own.aws.stop()
    with pytest.raises(ConnectionRefusedError):
        assume(own.aws, own.token())
    own.aws.start()
    assert own.aws.port == port
    assert assume(own.aws, own.token()).code == "OK"
