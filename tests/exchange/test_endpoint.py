"""The loopback endpoints over real sockets: who gets a reply, who gets nothing, and what a restart changes."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from apostille_exchange.endpoint.listen import bind
from apostille_exchange.endpoint.server import IDLE, MOST_CONNECTIONS, Server
from apostille_exchange.recipe import Output, Serve
from exchange.scene import READER, WRITER, ended, recipe, refusal, started, token
from exchange.sidecar_process import until

PATH = "/s3-files/aws"


class Endpoint:
    """A pod whose binding is served on loopback; time stands still for the sidecar, sockets are real."""

    def __init__(self, directory: Path, shape: str = "aws", **changes: Any) -> None:
        self.secret_file = directory / "run" / "s3-files" / "authorization"
        # The port is any: the route is put under the number that the kernel chose.
        self.serve = Serve(shape, 0, str(self.secret_file), 0o640)
        kept = Output(str(directory / "run" / "s3-files" / ".kept"), "kept", 0o600)
        self.pod = started(directory, serves=(self.serve,), outputs=(kept,), **changes)
        self._server: Server | None = None

    def start(self) -> None:
        """Listens and answers."""
        self.server = self._server = Server(bind([0]), self.pod.clock)
        (self.port,) = self.server.ports
        self.server.start({self.port: self.pod.exchanger.routes()[0]})

    def close(self) -> None:
        if self._server is not None:
            self._server.close()

    @property
    def secret(self) -> str:
        return self.secret_file.read_text()

    def get(self, path: str = PATH, method: str = "GET", **headers: str) -> tuple[int, dict[str, Any]]:
        """One request; ``Authorization`` is the secret unless told otherwise; None leaves a header out."""
        named = {"authorization": self.secret} | {name.replace("_", "-"): value for name, value in headers.items()}
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(client):
            client.request(method, path, headers={name: value for name, value in named.items() if value})
            reply = client.getresponse()
            body = reply.read()
        assert reply.headers["Cache-Control"] == "no-store"
        return reply.status, json.loads(body)

    def raw(self, sent: bytes) -> bytes:
        """What comes back until the connection is closed."""
        with socket.create_connection(("127.0.0.1", self.port), 20) as connection:
            received = b""
            with contextlib.suppress(OSError):  # it may be closed before all is sent
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                while part := connection.recv(65536):
                    received += part
        return received


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    made = Endpoint(tmp_path)
    made.start()
    yield made
    made.close()


def test_it_says_not_yet_then_gives_the_credential_that_is_held(endpoint: Endpoint) -> None:
    assert endpoint.get() == (503, {"code": "NotReady", "message": "no credential yet"})
    endpoint.pod.tick()
    status, got = endpoint.get()
    assert status == 200
    assert set(got) == {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
    assert got["AccessKeyId"].startswith("ASIA")
    assert endpoint.get() == (200, got)
    assert len(endpoint.pod.forms) == 1, "no request leads to an exchange"


def test_the_secret_is_a_file_that_outlives_a_restart(endpoint: Endpoint) -> None:
    before = endpoint.secret
    assert len(before) == 64
    assert endpoint.secret_file.stat().st_mode & 0o777 == 0o640
    endpoint.pod.tick()
    got = endpoint.get()
    endpoint.close()
    endpoint.pod.restart()
    endpoint.start()
    assert endpoint.secret == before
    assert endpoint.get()[0] == 503
    assert endpoint.pod.tick() == 0, "it goes on with what it kept"
    assert endpoint.get() == got
    assert before not in str(endpoint.pod.log.lines)


def test_a_damaged_secret_is_replaced(tmp_path: Path) -> None:
    made = Endpoint(tmp_path)
    for damaged in ("", "short", "z" * 64, "a" * 63 + "\n"):
        made.secret_file.parent.mkdir(parents=True, exist_ok=True)
        made.secret_file.write_text(damaged)
        made.pod.exchanger.routes()
        assert len(made.secret) == 64
        assert made.secret != damaged


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"authorization": ""}, 401),
        ({"authorization": "x"}, 401),
        ({"authorization": "Bearer x"}, 401),
        ({"authorization": "é"}, 401),
        ({"host": "evil.example"}, 403),
        ({"host": "evil.example:{port}"}, 403),
        ({"host": "169.254.169.254"}, 403),
        ({"host": "127.0.0.1:1"}, 403),
        ({"host": "127.0.0.1.evil.example:{port}"}, 403),
        ({"host": "localhost.evil.example"}, 403),
        ({"host": "[::1].evil:{port}"}, 403),
        ({"host": ""}, 403),
        ({"x_forwarded_for": "10.0.0.1"}, 403),
        ({"X_Forwarded_For": "127.0.0.1"}, 403),
        ({"forwarded": "for=10.0.0.1"}, 403),
        ({"via": "1.1 proxy"}, 403),
        ({"origin": "http://localhost"}, 403),
        ({"host": "localhost:{port}"}, 200),
        ({"host": "LOCALHOST"}, 200),
        ({"host": "[::1]:{port}"}, 200),
        ({"host": "127.0.0.1"}, 200),
    ],
)
def test_who_gets_a_reply(endpoint: Endpoint, headers: dict[str, str], status: int) -> None:
    endpoint.pod.tick()
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += [] if "host" in headers else ["Host: 127.0.0.1"]
    lines += [] if "authorization" in headers else [f"Authorization: {endpoint.secret}"]
    head = "\r\n".join([f"GET {PATH} HTTP/1.1", *lines]).replace("{port}", str(endpoint.port))
    received = endpoint.raw(head.encode() + b"\r\n\r\n")
    assert received.startswith(f"HTTP/1.1 {status} ".encode())
    assert (b"SecretAccessKey" in received) == (status == 200)
    assert endpoint.secret.encode() not in received


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"])
def test_only_get_has_an_answer_and_it_changes_nothing(endpoint: Endpoint, method: str) -> None:
    endpoint.pod.tick()
    asked = f"{method} {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {endpoint.secret}\r\n\r\n"
    received = endpoint.raw(asked.encode())
    assert received.startswith(b"HTTP/1.1 405 ")
    assert b"Secret" not in received
    assert b"Access-Control" not in received
    assert endpoint.get()[0] == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET %P HTTP/1.1\r\n\r\n",
        b"GET %P HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nAuthorization: %S\r\n\r\n",
        b"GET %P HTTP/1.1\r\nHost: localhost\r\nAuthorization: %S\r\nAuthorization: %S\r\n\r\n",
        b"GET %P HTTP/1.1\r\nHost: localhost\r\nAuthorization: %S\r\nContent-Length: 5\r\n\r\nhello",
        b"GET %P HTTP/1.1\r\nHost: localhost\r\nAuthorization: %S\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET http://localhost%P HTTP/1.1\r\nHost: localhost\r\nAuthorization: %S\r\n\r\n",
        b"GET %P HTTP/2\r\nHost: localhost\r\nAuthorization: %S\r\n\r\n",
        b"GET %P\r\nHost: localhost\r\nAuthorization: %S\r\n\r\n",
        b"get %P HTTP/1.1\r\nHost: localhost\r\nAuthorization: %S\r\n\r\n",
        b"GET  %P HTTP/1.1\r\nHost: localhost\r\nAuthorization: %S\r\n\r\n",
        b"GET %P HTTP/1.1\r\nHost : localhost\r\nAuthorization: %S\r\n\r\n",
        b"GET %P HTTP/1.1\r\nHost: localhost\r\n Authorization: %S\r\n\r\n",
        b"GET %P HTTP/1.1\r\nHost: localhost\nAuthorization: %S\r\n\r\n",
        b"GET %P HTTP/1.1\r\nHost: localhost\r\nAuthorization: %S\0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"GET %P HTTP/1.1\r\n" + b"X: " + b"y" * 9000 + b"\r\n\r\n",
        b"x" * 20000,
    ],
)
def test_what_is_no_plain_request_gets_nothing(endpoint: Endpoint, head: bytes) -> None:
    endpoint.pod.tick()
    received = endpoint.raw(head.replace(b"%P", PATH.encode()).replace(b"%S", endpoint.secret.encode()))
    assert received.startswith(b"HTTP/1.1 400 ") or received == b""
    assert b"Secret" not in received
    assert endpoint.get()[0] == 200


@pytest.mark.parametrize("path", ["/", "/s3-files", "/s3-files/aws/", "/S3-FILES/aws", "/../s3-files/aws",
                                  "//s3-files/aws", "/s3-files/%61ws", "/s3-files/token", "/other/aws",
                                  "/metrics"])  # fmt: skip
def test_every_other_path_is_nothing(endpoint: Endpoint, path: str) -> None:
    endpoint.pod.tick()
    assert endpoint.get(path)[0] == 404


def test_a_refreshed_credential_is_given_from_the_moment_it_is_there(endpoint: Endpoint) -> None:
    endpoint.pod.tick()
    old = endpoint.get()[1]
    endpoint.pod.answers.append(refusal("AccessDenied", status=403))
    endpoint.pod.tick(2500)
    assert endpoint.get() == (200, old), "a failed renewal changes nothing"
    endpoint.pod.run(10)
    status, new = endpoint.get()
    assert status == 200
    assert new["AccessKeyId"] != old["AccessKeyId"]


def test_a_credential_that_ended_is_not_given(endpoint: Endpoint) -> None:
    endpoint.pod.tick()
    endpoint.pod.clock.advance(3600)
    assert endpoint.get() == (503, {"code": "Expired", "message": "the credential has ended"})


def test_an_ended_binding_gives_nothing_at_once_and_a_live_one_again(endpoint: Endpoint) -> None:
    endpoint.pod.tick()
    endpoint.pod.files.put_plan(ended())
    endpoint.pod.tick()
    assert endpoint.get() == (503, {"code": "BindingEnded", "message": "the binding has ended"})
    assert not (endpoint.secret_file.parent / ".kept").exists()
    endpoint.pod.files.put_plan(recipe(role=WRITER))
    endpoint.pod.tick()
    assert endpoint.get()[0] == 200


def test_a_changed_target_is_bridged_by_the_old_credential(endpoint: Endpoint) -> None:
    endpoint.pod.tick()
    old = endpoint.get()[1]
    endpoint.pod.answers.append(refusal("AccessDenied", status=403))
    endpoint.pod.files.put_plan(recipe(role=WRITER))
    endpoint.pod.tick()
    assert endpoint.get()[1] == old
    endpoint.pod.run(5)
    assert endpoint.get()[1] != old
    assert [form["RoleArn"] for form in endpoint.pod.forms] == [READER, WRITER, WRITER]


def test_a_closing_pod_gives_nothing(endpoint: Endpoint) -> None:
    endpoint.pod.tick()
    endpoint.pod.exchanger.close()
    assert endpoint.get() == (503, {"code": "Closing", "message": "the pod is ending"})


def test_nothing_is_fetched_until_somebody_can_ask_for_it(tmp_path: Path) -> None:
    made = Endpoint(tmp_path)
    made.pod.exchanger.listening = False
    assert made.pod.run(5) == 0
    made.pod.exchanger.listening = True
    assert made.pod.tick() == 1


def test_requests_on_one_connection_are_answered_in_turn(endpoint: Endpoint) -> None:
    endpoint.pod.tick()
    one = f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {endpoint.secret}\r\n\r\n".encode()
    received = endpoint.raw(one * 50)
    assert received.count(b"HTTP/1.1 200 OK") == 50
    assert endpoint.raw(one.replace(b"1.1\r\n", b"1.0\r\n", 1) * 2).count(b"HTTP/1.1 200 OK") == 1
    closing = one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert endpoint.raw(closing * 2).count(b"HTTP/1.1 200 OK") == 1


def test_a_client_that_is_slow_to_ask_holds_up_nobody_and_is_dropped(endpoint: Endpoint) -> None:
    endpoint.pod.tick()
    with socket.create_connection(("127.0.0.1", endpoint.port), 20) as slow:
        slow.sendall(b"GET ")
        assert endpoint.get()[0] == 200
        endpoint.pod.clock.moment += IDLE + 1
        assert endpoint.get()[0] == 200
        assert slow.recv(1) == b""


def test_more_connections_than_there_are_places_push_out_the_idle_ones(endpoint: Endpoint) -> None:
    endpoint.pod.tick()
    with contextlib.ExitStack() as stack:
        for _ in range(MOST_CONNECTIONS + 20):
            stack.enter_context(socket.create_connection(("127.0.0.1", endpoint.port), 20))
        until(lambda: len(endpoint.server._connections) == MOST_CONNECTIONS, "the places are taken")
        assert endpoint.get()[0] == 200
    until(lambda: len(endpoint.server._connections) <= 1, "the places are free again")


def test_a_client_that_does_not_read_is_waited_for_by_nobody(endpoint: Endpoint) -> None:
    endpoint.pod.tick()
    one = f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {endpoint.secret}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", endpoint.port), 20) as deaf:
        deaf.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(100_000):
                deaf.send(one * 50)
        assert endpoint.get()[0] == 200


def test_clients_during_a_renewal_all_get_a_credential(endpoint: Endpoint) -> None:
    endpoint.pod.tick()
    results: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            results.append(endpoint.get()[0])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        # The wall clock alone: the other one is what the server's connections are counted by.
        endpoint.pod.clock.now += 2500
        endpoint.pod.tick()
        endpoint.pod.files.put_token(token())
    stop.set()
    for thread in threads:
        thread.join(20)
    assert len(results) > 30
    assert set(results) == {200}
    assert len(endpoint.pod.forms) >= 30


def test_the_plain_token_endpoint_and_azures(tmp_path: Path) -> None:
    # The shapes alone; `test_sdk_endpoint` has the vendors' clients.
    made = Endpoint(tmp_path)
    made.pod._changes["serves"] = (Serve("token", 0, str(made.secret_file)),)
    made.pod.restart()
    refused = [line["detail"] for line in made.pod.log.lines if line.get("reason") == "AdmissionRefused"]
    assert refused == ["admission.serves.shape: token needs token"]
    made.pod._changes["serves"] = (Serve("ftp", 0, str(made.secret_file)),)
    made.pod.restart()
    assert "is not known to this version" in made.pod.log.lines[-1]["detail"]
