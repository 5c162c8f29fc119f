"""What holds for every grant: further requests, addresses, the assertion's own end, replies of OAuth endpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from apostille_exchange import errors, grants
from apostille_exchange.assertion import Assertion
from apostille_exchange.credential import Credential
from apostille_exchange.errors import ExchangeError
from apostille_exchange.grants import json_reply, oauth
from apostille_exchange.grants.grant import Ask, Further, Grant
from apostille_exchange.messages import Endpoint, Reply, Request
from apostille_exchange.recipe import Output, Recipe, RecipeError
from exchange.scene import Pod, success, token

ASSERTION = Assertion("aaaaaaaaaaaa.bbbbbbbbbbbb.cccccccccccc", "system:serviceaccount:payments:reader", "jti-1")
GOOD = {"access_token": "opaque-token-1", "token_type": "Bearer", "expires_in": 600}


def reply(status: int = 200, kind: str = "application/json", **members: Any) -> Reply:
    body = {name: value for name, value in members.items() if value is not None}
    return Reply(status, {"content-type": kind}, json.dumps(body).encode(), 1000.0)


class TwoSteps(Grant):
    """A grant that asks twice: a token, then what the token is good for."""

    endpoints = {"second": True}  # noqa: RUF012 - as every grant declares it
    settings = {"client": True, "note": False}  # noqa: RUF012

    def check(self, parameters: Mapping[str, str], where: str) -> None:
        """Takes any."""

    def request(self, ask: Ask) -> Request:
        return Request(ask.site.endpoint, {"jwt": ask.assertion.token, "seconds": ask.session_seconds})

    def read(self, reply: Reply, ask: Ask) -> Credential | Further:
        first = oauth.credential(reply, ask.assertion)
        to = ask.site.endpoints["second"]
        if ask.parameters.get("astray"):
            to = Endpoint("elsewhere.example", 443, "/")
        return Further(Request(to, {"a": 1}, {"Authorization": f"Bearer {first.values['token']}"}, as_json=True))

    def read_further(self, reply: Reply, ask: Ask, before: Further) -> Credential | Further:
        if ask.parameters.get("endless"):
            return before
        return oauth.credential(reply, ask.assertion)


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pod:
    monkeypatch.setattr(grants, "load", lambda name: TwoSteps())
    made = Pod(
        tmp_path,
        grant="TwoSteps",
        endpoints={"second": "https://second.example/x"},
        settings={"client": "c"},
        outputs=(Output(str(tmp_path / "out" / "token"), "token"),),
    )
    made.files.put_plan(Recipe("s3-files", {}, 3600))
    made.files.put_token(token())
    return made


def test_a_further_request_goes_out_and_its_reply_is_the_credential(pod: Pod, tmp_path: Path) -> None:
    pod.answers.extend([lambda _: later(pod, "opaque-first"), lambda _: later(pod, "opaque-second")])
    assert pod.tick() == 2
    assert pod.paths == ["/", "/x"]
    assert pod.forms[1] == {"a": "1"}
    assert (tmp_path / "out" / "token").read_text() == "opaque-second"
    assert "opaque" not in str(pod.log.lines)


def later(pod: Pod, value: str, seconds: int = 600) -> Reply:
    body = json.dumps({**GOOD, "access_token": value, "expires_in": seconds}).encode()
    return Reply(200, {"content-type": "application/json"}, body, pod.clock.now)


@pytest.mark.parametrize(("parameter", "reason"), [("astray", "Misconfigured"), ("endless", "BadReply")])
def test_a_further_request_has_bounds(pod: Pod, parameter: str, reason: str) -> None:
    pod.files.put_plan(Recipe("s3-files", {parameter: "1"}, 3600))
    pod.answers.extend([lambda _: later(pod, "opaque-token-1")] * 5)
    pod.tick()
    assert (pod.log.lines[-1]["reason"], len(pod.forms) <= 3) == (reason, True)
    if parameter == "astray":
        assert len(pod.forms) == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"endpoints": {}}, "admission.endpoints.second: TwoSteps needs it"),
        ({"endpoints": {"second": "https://s.example/", "third": "https://s.example/"}}, "admission.endpoints.third"),
        ({"endpoints": {"second": "http://s.example/"}}, "admission.endpoints.second: not an https URL"),
        ({"settings": {}}, "admission.settings.client: TwoSteps needs it"),
        ({"settings": {"client": "c", "x": "y"}}, "admission.settings.x: not known"),
    ],
)
def test_an_admission_that_the_grant_cannot_serve(pod: Pod, changes: dict[str, object], field: str) -> None:
    pod._changes |= changes
    pod.restart()
    assert pod.run(5) == 0
    refused = [line["detail"] for line in pod.log.lines if line.get("reason") == "AdmissionRefused"]
    assert len(refused) == 1
    assert refused[0].startswith(field)


def test_a_session_within_its_assertion_is_asked_for_no_longer(tmp_path: Path) -> None:
    pod = Pod(tmp_path, within_assertion=True)
    pod.files.put_plan(Recipe("s3-files", {"roleARN": "arn:aws:iam::123456789012:role/r", "roleSessionName": "rr"}))
    pod.files.put_token(token(exp=int(pod.clock.now) + 1200))
    pod.tick()
    assert [form["DurationSeconds"] for form in pod.forms] == ["1200"]
    assert pod.log.reasons() == ["Exchanged"]


def test_an_assertion_that_ends_too_soon_is_not_sent_and_its_successor_is_taken_up(tmp_path: Path) -> None:
    pod = Pod(tmp_path, within_assertion=True)
    pod.files.put_plan(Recipe("s3-files", {"roleARN": "arn:aws:iam::123456789012:role/r", "roleSessionName": "rr"}))
    for short in ({"exp": int(pod.clock.now) + 899}, {}):
        pod.files.put_token(token(**short))
        assert pod.tick(61) == 0
        assert pod.log.reasons()[-1] == "TokenExpired"
    pod.files.put_token(token(exp=int(pod.clock.now) + 3600))
    assert pod.tick() == 1
    assert pod.log.reasons()[-1] == "Exchanged"


def test_a_credential_that_outlives_its_assertion_is_not_taken(tmp_path: Path) -> None:
    pod = Pod(tmp_path, within_assertion=True)
    pod.files.put_plan(Recipe("s3-files", {"roleARN": "arn:aws:iam::123456789012:role/r", "roleSessionName": "rr"}))
    pod.files.put_token(token(exp=int(pod.clock.now) + 1200))
    pod.answers.append(lambda form: success(form, pod.clock.now + 3600))
    pod.tick()
    assert pod.content() == ""
    assert pod.log.reasons() == ["BadReply"]


def test_a_forms_list_is_sent_once_each_and_a_document_as_json() -> None:
    to = Endpoint("x.example", 443, "/")
    assert Request(to, {"audience": ["a b", "c&d"], "n": 1}).body() == b"audience=a%20b&audience=c%26d&n=1"
    sent = Request(to, {"lifetime": "1s", "scope": ["a"]}, as_json=True)
    assert (sent.body(), sent.media_type) == (b'{"lifetime":"1s","scope":["a"]}', "application/json")
    assert "a b" not in repr(Request(to, {"secret": "a b"}, {"X": "a b"}))


def test_what_a_token_reply_yields() -> None:
    got = oauth.credential(reply(**GOOD, refresh_token="never-used", scope="read"), ASSERTION, scope="read write")
    assert (got.values, got.expires) == ({"token": "opaque-token-1"}, 1600.0)
    assert "opaque" not in repr(got)
    assert oauth.credential(reply(**GOOD | {"expires_in": None}), ASSERTION).expires == 1300.0
    assert oauth.credential(reply(**GOOD | {"expires_in": "3599"}), ASSERTION).expires == 4599.0


@pytest.mark.parametrize(
    ("bad", "options", "what"),
    [
        ({"access_token": None}, {}, "access_token"),
        ({"access_token": "short"}, {}, "access_token"),
        ({"access_token": "with a space in it"}, {}, "access_token"),
        ({"access_token": "with\nline's end"}, {}, "access_token"),
        ({"access_token": ASSERTION.token}, {}, "returns the assertion"),
        ({"access_token": ["opaque-token-1"]}, {}, "access_token"),
        ({"token_type": None}, {}, "token_type"),
        ({"token_type": "DPoP"}, {}, "token_type"),
        ({"token_type": "N_A"}, {}, "token_type"),
        ({"expires_in": 0}, {}, "expires_in"),
        ({"expires_in": -1}, {}, "expires_in"),
        ({"expires_in": True}, {}, "expires_in"),
        ({"expires_in": "soon"}, {}, "expires_in"),
        ({"expires_in": 1e300}, {}, "expires_in"),
        ({"expires_in": {}}, {}, "expires_in"),
        ({}, {"issued_types": [oauth.ACCESS_TOKEN]}, "issued_token_type"),
        ({"issued_token_type": oauth.JWT}, {"issued_types": [oauth.ACCESS_TOKEN]}, "issued_token_type"),
        ({"scope": "read admin"}, {"scope": "read"}, "scope"),
        ({"scope": ["read"]}, {"scope": "read"}, "scope"),
    ],
)
def test_token_replies_that_are_not_believed(bad: dict[str, Any], options: dict[str, Any], what: str) -> None:
    with pytest.raises(ExchangeError, match=what) as found:
        oauth.credential(reply(**GOOD | bad), ASSERTION, **options)
    assert found.value.reason == errors.BAD_REPLY


@pytest.mark.parametrize(
    "answer",
    [
        reply(kind="text/html", **GOOD),
        Reply(200, {"content-type": "application/json"}, b'{"access_token": "opaque-tok'),
        Reply(200, {"content-type": "application/json"}, b'["opaque-token-1"]'),
        Reply(200, {"content-type": "application/json"}, b"\xff\xfe"),
        Reply(200, {"content-type": "application/json"}, b'{"access_token":"opaque-1","access_token":"opaque-2"}'),
        Reply(200, {"content-type": "application/json"}, b"[" * 60000),
        Reply(200, {}, b""),
    ],
)
def test_replies_that_are_no_json_object(answer: Reply) -> None:
    with pytest.raises(ExchangeError) as found:
        oauth.credential(answer, ASSERTION)
    assert found.value.reason == errors.BAD_REPLY
    assert "opaque" not in str(found.value)


@pytest.mark.parametrize(
    ("answer", "reason", "permanent"),
    [
        (reply(400, error="invalid_grant"), "ConditionRejected", True),
        (reply(401, error="invalid_client"), "ConditionRejected", True),
        (reply(400, error="invalid_request"), "Misconfigured", True),
        (reply(400, error="invalid_target"), "TargetMissing", True),
        (reply(400, error="invalid_scope"), "Misconfigured", True),
        (reply(400, error="temporarily_unavailable"), "Unavailable", False),
        (reply(400, error="invalid_grant", error_description="The Issuer is odd"), "IssuerUnknown", True),
        (reply(400, error="own_code"), "SubjectMismatch", True),
        (reply(429, error="invalid_grant"), "RateLimited", False),
        (reply(503, error="invalid_grant"), "Unavailable", False),
        (Reply(403, {"content-type": "text/html"}, b"<html>"), "Unknown", True),
        (Reply(500, {"content-type": "text/html"}, b"<html>"), "Unavailable", False),
        (reply(400, error=["invalid_grant"]), "Unknown", True),
    ],
)
def test_an_oauth_refusal_has_one_name(answer: Reply, reason: str, permanent: bool) -> None:
    words: json_reply.Words = (("issuer is", errors.ISSUER_UNKNOWN, True),)
    with pytest.raises(ExchangeError) as found:
        oauth.credential(answer, ASSERTION, words=words, codes={"own_code": (errors.SUBJECT_MISMATCH, True)})
    assert (found.value.reason, found.value.permanent, found.value.status) == (reason, permanent, answer.status)


def test_an_echoed_assertion_is_cut_from_an_oauth_refusal() -> None:
    answer = reply(400, error=ASSERTION.token, error_description=f"bad {ASSERTION.token}")
    told = oauth.refusal(answer, ASSERTION.token)
    assert not any(part in told.detail + told.code for part in ASSERTION.token.split("."))


def test_a_revoked_token_is_one_that_the_server_knows_no_more() -> None:
    oauth.revoked(Reply(200, {}, b""), "secret-token")
    for status in (400, 401, 503):
        with pytest.raises(ExchangeError):
            oauth.revoked(reply(status, error="invalid_client"), "secret-token")


@pytest.mark.parametrize("name", ["AWSWebIdentity", "VaultJWT"])
def test_a_grant_takes_no_endpoint_or_setting_that_it_does_not_know(name: str, tmp_path: Path) -> None:
    grant = grants.load(name)
    pod = Pod(tmp_path, grant=name)
    grant.admit(pod.files.admission())
    with pytest.raises(RecipeError, match=r"settings\.x"):
        grant.admit(pod.files.admission(settings={"x": "y"}))
    with pytest.raises(RecipeError, match=r"endpoints\.x"):
        grant.admit(pod.files.admission(endpoints={"x": "https://y.example/"}))
