"""Anything at all, thrown at what reads: plan, admission, token, replies, requests to the endpoint."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from apostille_exchange import assertion, recipe
from apostille_exchange.assertion import Assertion
from apostille_exchange.credential import Credential
from apostille_exchange.deliver import stamp
from apostille_exchange.endpoint import guard, request, shapes
from apostille_exchange.endpoint.listen import bind
from apostille_exchange.endpoint.request import Malformed
from apostille_exchange.endpoint.served import Served
from apostille_exchange.endpoint.server import Route, Server
from apostille_exchange.errors import ExchangeError
from apostille_exchange.grants import load, oauth
from apostille_exchange.grants.grant import Ask, Site
from apostille_exchange.messages import Endpoint, Reply
from apostille_exchange.recipe import Admission, Notify, Output, Plan, Recipe, RecipeError, Serve
from exchange.scene import StillClock
from properties import examples

SECRET = "5e" * 32
VALUE = "the-secret-access-key"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(
    ["format", "bindings", "digest", "recipe", "parameters", "sessionSeconds", "ended", "binding", "grant", "endpoint",
     "audience", "token", "outputs", "path", "mode", "ca", "endpoints", "settings", "withinAssertion", "serves",
     "shape", "port", "secret", "file", "document", "notify", "signal", "process", "variable"]
)  # fmt: skip
LIKELY = st.recursive(
    st.sampled_from([1, 2, 0, -1, True, False, None, "", "x", 1e9, "https://x.example/"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=8),
    max_leaves=30,
)
TEXTS = st.text(alphabet=st.characters(codec="utf-8"), max_size=30)


@examples(60)
@given(st.one_of(JSON.map(json.dumps), LIKELY.map(json.dumps), st.text(max_size=200)))
@example('{"format":1,"bindings":{"b":[]}}')
@example("[" * 100_000)
@example('{"format":1,"bindings":{"b":{"digest":"x","recipe":{"parameters":{},"sessionSeconds":1e400}}}}')
def test_a_plan_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(RecipeError):
        plan = recipe.loads(text)
        assert recipe.loads(recipe.dumps(plan)).digests == plan.digests


@st.composite
def admissions_nearly(draw: st.DrawFn) -> str:
    """A good admission with one member replaced by anything."""
    document = json.loads(recipe.dumps_admission(GOOD))
    holder: Any = document
    while isinstance(holder, (dict, list)) and holder:
        keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = draw(st.sampled_from(keys))
        if isinstance(holder[key], (dict, list)) and holder[key] and draw(st.booleans()):
            holder = holder[key]
            continue
        holder[key] = draw(LIKELY)
        break
    return json.dumps(document)


GOOD = Admission(
    "b", "AWSWebIdentity", "https://x.example/", "aud", "/t", (Output("/o", "json", 0o600, ""),), 900, "ca",
    {"second": "https://y.example/"}, {"client": "c"}, True, (Serve("aws", 29015, "/s"),), Notify(port=80, path="/x"),
)  # fmt: skip


@examples(60)
@given(st.one_of(admissions_nearly(), LIKELY.map(json.dumps), st.text(max_size=100)))
@example(json.dumps(json.loads(recipe.dumps_admission(GOOD)) | {"notify": 5}))
def test_an_admission_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(RecipeError):
        found = recipe.loads_admission(text)
        assert recipe.loads_admission(recipe.dumps_admission(found)) == found


@examples(60)
@given(
    st.builds(
        Admission,
        binding=TEXTS, grant=TEXTS, endpoint=TEXTS, audience=TEXTS, token=TEXTS,
        outputs=st.lists(st.builds(Output, TEXTS, TEXTS, st.integers(0, 0o777), TEXTS), max_size=3).map(tuple),
        session_seconds=st.integers(), ca=TEXTS, endpoints=st.dictionaries(TEXTS, TEXTS, max_size=3),
        settings=st.dictionaries(TEXTS, TEXTS, max_size=3), within_assertion=st.booleans(),
        serves=st.lists(
            st.builds(Serve, TEXTS, st.integers(1, 65535), TEXTS, st.integers(0, 0o777))
            | st.builds(Serve, TEXTS, st.integers(1, 65535), TEXTS, st.integers(0, 0o777), TEXTS.filter(bool), TEXTS),
            max_size=2,
        ).map(tuple),
        notify=st.none() | st.builds(Notify, port=st.integers(1, 65535), path=TEXTS)
        | st.builds(lambda s, p: Notify(signal=s, process=p), st.sampled_from(["HUP", "USR1"]), TEXTS),
    )
)  # fmt: skip
def test_an_admission_says_what_was_frozen(admission: Admission) -> None:
    assert recipe.loads_admission(recipe.dumps_admission(admission)) == admission


@examples(60)
@given(st.dictionaries(TEXTS, st.dictionaries(TEXTS, TEXTS, max_size=3), max_size=3), st.integers())
def test_a_plan_says_what_was_planned(parameters: dict[str, dict[str, str]], seconds: int) -> None:
    plan = Plan(
        dict.fromkeys(parameters, "0123456789abcdef"),
        {name: Recipe(name, given, seconds) for name, given in parameters.items()},
    )
    assert recipe.loads(recipe.dumps(plan)) == plan


@examples(60)
@given(st.binary(max_size=400) | st.text(max_size=200).map(lambda text: f"a.{text}.b".encode("utf-8", "replace")))
def test_a_token_is_read_or_waited_for(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed-token"
    path.write_bytes(content)
    with contextlib.suppress(ExchangeError):
        assertion.read(str(path), "aud")


@examples(60)
@given(st.text(max_size=300))
@example("apostille-exchange/1 order=x issued=2026-01-01T00:00:00Z expires=0000-00-00")
@example("apostille-exchange/1 order=x issued=1e5 expires=2026-01-01T00:00:00")
def test_a_stamp_is_found_or_not(text: str) -> None:
    stamp.find(text)


ASK = Ask(
    Site(GOOD, Endpoint("x.example", 443, "/auth/jwt/login")),
    {"roleARN": "arn:aws:iam::123456789012:role/r", "roleSessionName": "rr", "role": "r"},
    900,
    Assertion("aaaaaaaaaaaa.bbbbbbbbbbbb.cccccccccccc", "sub", "jti"),
)


@pytest.mark.parametrize("name", ["AWSWebIdentity", "VaultJWT"])
@examples(60)
@given(
    status=st.sampled_from([200, 200, 200, 400, 403, 429, 500]),
    kind=st.sampled_from(["application/json", "text/xml", "text/html", ""]),
    body=st.binary(max_size=300) | JSON.map(lambda document: json.dumps(document).encode()),
)
def test_a_reply_is_a_credential_or_an_error(name: str, status: int, kind: str, body: bytes) -> None:
    reply = Reply(status, {"content-type": kind}, body, 0.0)
    for read in (lambda: load(name).read(reply, ASK), lambda: oauth.credential(reply, ASK.assertion)):
        with contextlib.suppress(ExchangeError):
            assert isinstance(read(), Credential)


HEADER_LINES = st.lists(
    st.sampled_from(
        ["Host: localhost", "Host: evil.example", "host: 127.0.0.1", f"Authorization: {SECRET}", "Authorization: x",
         f"Authorization: Bearer {SECRET}", "X-Forwarded-For: 1.1.1.1", "Via: x", "Origin: null", "Connection: close",
         "Content-Length: 0", "Content-Length: 1", "Transfer-Encoding: chunked", "X: y", "", " folded", "no colon",
         f"X-Identity-Header: {SECRET}", "Metadata: true"]
    ),
    max_size=6,
)  # fmt: skip
REQUESTS = st.builds(
    lambda method, path, version, lines: "\r\n".join([f"{method} {path} {version}", *lines]).encode(),
    st.sampled_from(["GET", "GET", "GET", "POST", "HEAD", "get", "OPTIONS"]),
    st.sampled_from(
        [
            "/b/aws",
            "/b/aws",
            "/b/aws?x",
            "/",
            "/b/azure?resource=r",
            "http://localhost/b/aws",
            "*",
            "/b/aws#f",
            "/b/google",
            "/b/google?format=text",
            "/b/token",
        ]
    ),
    st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2", ""]),
    HEADER_LINES,
)


@examples(60)
@given(st.binary(max_size=300) | REQUESTS)
def test_a_request_is_read_or_refused(head: bytes) -> None:
    with contextlib.suppress(Malformed):
        found = request.read(head)
        assert found.path.startswith("/")
        assert found.method.isupper()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    clock = StillClock()
    values = {"AccessKeyId": "ASIAX", "SecretAccessKey": VALUE, "SessionToken": "s", "token": VALUE}
    held = Served(Credential(values, clock.now + 3600, "ASIAX"), {"scope": "r/.default"})
    (listener,) = bind([0])
    made = Server([listener], clock)
    (port,) = made.ports
    made.start({port: [Route(f"/b/{shape}", shape, SECRET.encode(), "/k", lambda: held) for shape in shapes.NEEDS]})
    yield made
    made.close()


@examples(60)
@given(st.lists(REQUESTS | st.binary(max_size=100), min_size=1, max_size=4), st.integers(1, 50))
def test_whatever_is_sent_only_the_secret_opens(server: Server, heads: list[bytes], piece: int) -> None:
    """Nothing but a well-formed GET with the secret and a loopback Host gets a value; the server lives on."""
    (port,) = server.ports
    sent = b"".join(head + b"\r\n\r\n" for head in heads)
    received = b""
    # What is refused is closed, maybe while it is still being sent.
    with socket.create_connection(("127.0.0.1", port), 20) as connection, contextlib.suppress(OSError):
        for start in range(0, len(sent), len(sent) // piece + 1):
            connection.sendall(sent[start : start + len(sent) // piece + 1])
        connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65536):
            received += part
    assert SECRET.encode() not in received
    assert received.count(VALUE.encode()) <= sum(opens(head, port) for head in sent.split(b"\r\n\r\n"))
    assert server.faults == 0
    assert server._thread.is_alive()


def opens(head: bytes, port: int) -> bool:
    """Whether a request is one that may be answered, judged by its text alone."""
    text = head.decode("latin-1")
    lines = [line.strip().lower() for line in text.split("\r\n")]
    return (
        text.startswith("GET /b/")
        and any(line in ("host: localhost", "host: 127.0.0.1") for line in lines)
        and not any("evil" in line or line.startswith(("x-forwarded", "via", "origin")) for line in lines)
        and SECRET in text
    )


@examples(60)
@given(st.binary(max_size=80), st.binary(min_size=1, max_size=80))
def test_what_is_not_the_secret_never_is(presented: bytes, secret: bytes) -> None:
    text = presented.decode("latin-1")
    assert guard.holds([text], secret) == (text.encode() == secret)


@examples(60)
@given(st.one_of(JSON.map(json.dumps), LIKELY.map(json.dumps), st.text(max_size=100)), TEXTS)
@example("[" * 100_000, "x")
def test_a_credential_file_is_written_or_refused(document: str, url: str) -> None:
    with contextlib.suppress(ValueError, RecursionError):
        made = json.loads(shapes.credential_file("google", document, url, SECRET))
        assert made["credential_source"]["url"] == url
        assert made["credential_source"]["headers"] == {"Authorization": f"Bearer {SECRET}"}
