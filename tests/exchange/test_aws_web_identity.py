"""The AWS grant: what of a reply is believed, and what a refusal is called."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from apostille_exchange import messages
from apostille_exchange.messages import Reply
from exchange.scene import NAMESPACE, Pod, recipe, refusal, started, success


def first(directory: Path, answer: object) -> tuple[Pod, dict[str, object]]:
    """A pod whose first exchange got this answer, and the line of it."""
    pod = started(directory)
    pod.answers.append(answer)  # type: ignore[arg-type]
    pod.tick()
    return pod, pod.log.lines[-1]


@pytest.mark.parametrize(
    ("reply", "reason", "result"),
    [
        (refusal("InvalidIdentityToken", "No OpenIDConnect provider found in your"), "IssuerUnknown", "Refused"),
        (refusal("InvalidIdentityToken", "Incorrect token audience"), "AudienceMismatch", "Refused"),
        (refusal("InvalidIdentityToken", "Couldn't retrieve verification key from"), "KeyUnavailable", "Failed"),
        (refusal("InvalidIdentityToken", "Token signature invalid"), "SignatureInvalid", "Refused"),
        (refusal("InvalidIdentityToken", "The ID Token provided is not a valid JWT"), "Unknown", "Refused"),
        (refusal("ExpiredTokenException", "Token expired"), "TokenExpired", "Refused"),
        (refusal("AccessDenied", "Not authorized", 403), "ConditionRejected", "Refused"),
        (refusal("IDPRejectedClaim", status=403), "ConditionRejected", "Refused"),
        (refusal("IDPCommunicationError"), "KeyUnavailable", "Failed"),
        (refusal("ValidationError", "DurationSeconds exceeds MaxSessionDuration"), "Misconfigured", "Refused"),
        (refusal("RegionDisabledException", status=403), "Misconfigured", "Refused"),
        (refusal("Throttling", "Rate exceeded"), "RateLimited", "Failed"),
        (refusal("RequestLimitExceeded", status=503), "RateLimited", "Failed"),
        (refusal("Whatever", status=429), "RateLimited", "Failed"),
        (refusal("InternalFailure", status=500), "Unavailable", "Failed"),
        (refusal("ServiceUnavailable", status=503), "Unavailable", "Failed"),
        (refusal("Whatever", status=418), "Unknown", "Refused"),
        (Reply(502, {"content-type": "text/html"}, b"<html>bad gateway"), "Unavailable", "Failed"),
        (Reply(403, {"content-type": "text/html"}, b"<html>a proxy says no"), "Unknown", "Refused"),
    ],
)  # fmt: skip
def test_a_refusal_has_one_name(tmp_path: Path, reply: Reply, reason: str, result: str) -> None:
    pod, line = first(tmp_path, reply)
    assert (line["reason"], line["result"], line["status"]) == (reason, result, reply.status)
    assert pod.content() == ""


def whole(body: bytes) -> Reply:
    """A reply as STS sends it."""
    return Reply(200, {"content-type": "text/xml"}, body)


def text(name: str, value: str) -> Callable[[bytes], Reply]:
    """Replaces the text of one element."""

    def change(body: bytes) -> Reply:
        found, count = re.subn(f"<{name}>[^<]*".encode(), f"<{name}>{value}".encode(), body)
        assert count == 1
        return whole(found)

    return change


def swap(old: bytes, new: bytes) -> Callable[[bytes], Reply]:
    """Replaces a part of the body."""

    def change(body: bytes) -> Reply:
        assert old in body
        return whole(body.replace(old, new))

    return change


def good(directory: Path, change: Callable[[bytes], Reply]) -> Pod:
    """A pod whose first exchange got a good reply with one change."""
    pod = started(directory)
    pod.answers.append(lambda form: change(pod.grant(form).body))
    pod.tick()
    return pod


@pytest.mark.parametrize(
    "change",
    [
        whole,
        lambda body: Reply(200, {"content-type": "application/xml; charset=UTF-8"}, body),
        swap(b"Audience>", b"NewMember>"),
        swap(b"SubjectFromWebIdentityToken>", b"NewMember>"),
        swap(b"<ResponseMetadata>", b"<New><Member>1</Member></New><ResponseMetadata>"),
        swap(b"</SessionToken>", b"&#43;\n</SessionToken>"),
    ],
)
def test_a_reply_with_all_that_matters_is_believed(tmp_path: Path, change: Callable[[bytes], Reply]) -> None:
    assert good(tmp_path, change).content() != ""


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (lambda body: Reply(200, {"content-type": "text/html"}, body), "not XML"),
        (lambda body: Reply(200, {"content-type": "application/json"}, b"{}"), "not XML"),
        (lambda body: Reply(200, {}, body), "not XML"),
        (lambda body: Reply(201, {"content-type": "text/xml"}, body), ""),
        (lambda body: whole(b""), "well-formed"),
        (lambda body: whole(body[:-10]), "well-formed"),
        (lambda body: whole(body + body), "well-formed"),
        (lambda body: whole(b"<!DOCTYPE x>" + body), "document type"),
        (lambda body: whole(b'<!DOCTYPE x [<!ENTITY a "b">]>' + body.replace(b"AROA", b"&a;")), "document type"),
        (swap(b"AROA", b"&a;"), "well-formed"),
        (swap(b"AROA", b"\xff"), "well-formed"),
        (swap(NAMESPACE.encode(), b"urn:other"), "not a AssumeRole"),
        (swap(b"AssumeRoleWithWebIdentityResponse", b"AssumeRoleResponse"), "not a AssumeRole"),
        (lambda body: whole(body.replace(b"<Audience>", b"<x>" * 20 + b"</x>" * 20 + b"<Audience>")), "members"),
        (swap(b"<Audience>", b"".join(b"<x%d/>" % i for i in range(300)) + b"<Audience>"), "members"),
        (swap(b"</AssumedRoleUser>", b"<Arn>x</Arn></AssumedRoleUser>"), "members"),
        (swap(b"<ResponseMetadata>", b"<AssumeRoleWithWebIdentityResult/><ResponseMetadata>"), "members"),
        (swap(b"AccessKeyId>", b"AccessKey>"), "no AccessKeyId"),
        (swap(b"SecretAccessKey>", b"Secret>"), "no SecretAccessKey"),
        (swap(b"SessionToken>", b"Session>"), "no SessionToken"),
        (swap(b"Expiration>", b"Expires>"), "no Expiration"),
        (swap(b"Arn>", b"ARN>"), "no Arn"),
        (text("Arn", "arn:aws:sts::123456789012:assumed-role/other/payments.s3-files"), "another role"),
        (text("Arn", "arn:aws:sts::210987654321:assumed-role/payments-reader/payments.s3-files"), "another role"),
        (text("Arn", "arn:aws:sts::123456789012:assumed-role/payments-reader/other"), "another role"),
        (text("Audience", "sts.amazonaws.com"), "another audience"),
        (text("SubjectFromWebIdentityToken", "system:serviceaccount:payments:other"), "another subject"),
        (text("AccessKeyId", ""), "no AWS credential"),
        (text("AccessKeyId", "ASIA0000000000000000\naws_session_token = x"), "no AWS credential"),
        (text("SecretAccessKey", "a b"), "no AWS credential"),
        (text("SessionToken", "x\ny"), "no AWS credential"),
        (text("SessionToken", "x" * 20_000), "no AWS credential"),
        (text("Expiration", "tomorrow"), "isoformat"),
        (text("Expiration", "2100-01-01T00:00:00"), "offset"),
        (text("Expiration", "2001-01-01T00:00:00Z"), "ended already"),
        (text("Expiration", "2100-01-01T00:00:00Z"), "longer than the 3600 s"),
    ],
)
def test_a_reply_that_is_not_exactly_what_was_asked_for_is_not_believed(
    tmp_path: Path, change: Callable[[bytes], Reply], detail: str
) -> None:
    pod = good(tmp_path, change)
    line = pod.log.lines[-1]
    assert line["reason"] == ("BadReply" if detail else "Unknown")
    assert detail in line["detail"]
    assert pod.content() == ""


@pytest.mark.parametrize(("over", "believed"), [(299, True), (301, False)])
def test_a_lifetime_may_exceed_the_ceiling_by_what_clocks_differ(tmp_path: Path, over: int, believed: bool) -> None:
    pod = started(tmp_path)
    pod.answers.append(lambda form: success(form, pod.clock.now + 3600 + over))
    pod.tick()
    assert (pod.content() != "") is believed


def test_a_role_with_a_path_is_known_by_its_name(tmp_path: Path) -> None:
    pod = started(tmp_path)
    pod.files.put_plan(recipe(role="arn:aws-cn:iam::123456789012:role/team/a/reader"))
    pod.answers.append(
        lambda form: success(
            form, pod.clock.now + 3600, Arn="arn:aws-cn:sts::123456789012:assumed-role/reader/payments.s3-files"
        )
    )
    pod.tick()
    assert pod.content() != ""


def test_an_error_that_echoes_the_assertion_is_not_quoted(tmp_path: Path) -> None:
    pod = started(tmp_path)
    assertion = pod.files.token().read_text()
    pod.answers.append(
        refusal("ValidationError", f"Value '{assertion}' at 'webIdentityToken' failed\n{assertion[40:90]}")
    )
    pod.tick()
    detail = str(pod.log.lines[-1]["detail"])
    assert detail == "Value '….….…' at 'webIdentityToken' failed …"


def test_a_long_error_is_cut(tmp_path: Path) -> None:
    _, line = first(tmp_path, refusal("Bad" * 100, "word " * 1000 + "\x7f"))
    assert len(str(line["detail"])) == 256
    assert len(str(line["code"])) == 64


def test_only_https_urls_without_ornaments_are_endpoints() -> None:
    good = messages.endpoint("https://sts.eu-west-1.amazonaws.com/")
    assert (good.host, good.port, good.path) == ("sts.eu-west-1.amazonaws.com", 443, "/")
    assert messages.endpoint("https://[::1]:8443/a/b") == messages.Endpoint("::1", 8443, "/a/b")
    assert messages.endpoint("https://127.0.0.1:1").path == "/"
    for bad in (
        "http://a/", "a", "", "https://", "https:///x", "https://a:b/", "https://a:0/", "https://a:70000/", "https://a:/",
        "https://u@a/", "https://a/?x", "https://a/#x", "https://a b/", "https://a/\r\nX: y", "https://ä/", "https://a:1:2/",
        "https://[::1/", "https://[::1]x/",
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"."):
            messages.endpoint(bad)
