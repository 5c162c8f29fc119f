"""One HTTPS request against servers that behave well and badly, over real sockets and TLS."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from apostille_exchange import transport
from apostille_exchange.errors import ExchangeError
from apostille_exchange.messages import Endpoint, Reply, Request
from apostille_testbed.parties.tls import Authority

OK = b"HTTP/1.1 200 OK\r\nContent-Type: Text/XML; charset=utf-8\r\n"


class CannedServer:
    """Answers every connection with the same bytes, then closes it; keeps what it was sent."""

    def __init__(self, directory: Path, names: Sequence[str] = ("127.0.0.1", "localhost")) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        authority = Authority(directory)
        self.ca = authority.pem
        self.answer: list[bytes] = [OK + b"Content-Length: 2\r\n\r\nhi"]
        self.hold = threading.Event()
        self.hold.set()
        self.polite = True
        self.received: list[bytes] = []
        self._tls = authority.server(list(names))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.hold.set()
        if self._listener.fileno() < 0:
            return
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), connection:
                connection.settimeout(10)
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        with self._tls.wrap_socket(connection, server_side=True) as secure:
            received = b""
            while b"\r\n\r\n" not in received:
                received += secure.recv(65536)
            head, _, body = received.partition(b"\r\n\r\n")
            length = int(
                next(line.split(b":")[1] for line in head.split(b"\r\n") if line.startswith(b"Content-Length"))
            )
            while len(body) < length:
                body += secure.recv(65536)
            self.received.append(head + b"\r\n\r\n" + body)
            for part in self.answer:
                secure.sendall(part)
                self.hold.wait(10)
            if self.polite:
                with contextlib.suppress(ssl.SSLError, OSError):
                    secure.unwrap()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CannedServer]:
    running = CannedServer(tmp_path / "server")
    yield running
    running.close()


def post(server: CannedServer, host: str = "127.0.0.1", ca: Path | None = None, **form: str) -> Reply:
    """One request with the server's CA."""
    return transport.post(Request(Endpoint(host, server.port, "/"), form or {"a": "b"}), str(ca or server.ca))


def failure(server: CannedServer, **options: Any) -> ExchangeError:
    """The error of one request."""
    with pytest.raises(ExchangeError) as raised:
        post(server, **options)
    return raised.value


def test_a_form_arrives_as_it_was_given(server: CannedServer) -> None:
    form = {"Action": "Assume", "RoleArn": "arn:aws:iam::1:role/a+b=c", "Token": "e.y-_~ &%\u00e4\n"}
    reply = post(server, **form)
    head, _, body = server.received[0].partition(b"\r\n\r\n")
    assert dict(parse_qsl(body.decode(), strict_parsing=True)) == form
    assert head.split(b"\r\n")[0] == b"POST / HTTP/1.1"
    assert f"Host: 127.0.0.1:{server.port}".encode() in head.split(b"\r\n")
    assert (reply.status, reply.media_type, reply.body) == (200, "text/xml", b"hi")


@pytest.mark.parametrize(
    "answer",
    [
        [OK + b"Content-Length: 5\r\n\r\nhello"],
        [OK + b"Content-Length: 5\r\n\r\nhello, and more"],
        [OK[:20], OK[20:] + b"Content-Length: 5\r\n\r\nhe", b"llo"],
        [OK + b"\r\nhello"],
        [OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"],
        [OK + b"Transfer-Encoding: Chunked\r\n\r\n2;x=y\r\nhe\r\n", b"3\r", b"\nllo\r\n0\r\nTrailer: x\r\n\r\n"],
        [b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello"],
        [b"HTTP/1.0 200\r\nContent-Length: 5\r\n\r\nhello"],
    ],
)
def test_every_framing_of_a_body_is_read(server: CannedServer, answer: list[bytes]) -> None:
    server.answer = answer
    assert post(server).body == b"hello"


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (b"", "cut off"),
        (b"HTTP/1.1 200 OK\r\n", "cut off"),
        (OK + b"Content-Length: 9\r\n\r\nhello", "cut off"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhello", "cut off"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "malformed chunk"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", "malformed chunk"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n", "malformed chunk"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n", "longer than"),
        (OK + b"Transfer-Encoding: gzip\r\n\r\n", "transfer coding"),
        (OK + b"Content-Length: 65537\r\n\r\n" + b"x" * 65537, "longer than"),
        (OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", "longer than"),
        (OK + b"Content-Length: 1, 1\r\n\r\nx", "longer than"),
        (OK + b"\r\n" + b"x" * 70_000, "longer than"),
        (OK + b"X: " + b"x" * 40_000, "too long"),
        (OK + b"no colon\r\n\r\n", "malformed header"),
        (OK + b"Folded: x\r\n y: z\r\n\r\n", "malformed header"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 2xx OK\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", "redirect"),
        (b"HTTP/1.1 307 Again\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", "redirect"),
    ],
)
def test_a_malformed_or_boundless_reply_is_refused(server: CannedServer, answer: bytes, detail: str) -> None:
    server.answer = [answer]
    error = failure(server)
    assert (error.reason, error.permanent) == ("BadReply", False)
    assert detail in error.detail
    assert len(server.received) == 1


def test_a_connection_that_breaks_is_no_reply(server: CannedServer) -> None:
    server.answer, server.polite = [OK + b"\r\nhalf"], False
    assert failure(server).reason == "Unreachable"


def test_a_server_that_drips_is_not_waited_for(server: CannedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "TIMEOUT", 0.5)
    server.answer = [OK, b"Content-Length: 2\r\n\r\nhi"]
    server.hold.clear()
    error = failure(server)
    assert (error.reason, error.detail) == ("Unreachable", "127.0.0.1: no whole reply in time")


def test_only_the_given_authority_is_trusted(server: CannedServer, tmp_path: Path) -> None:
    other = CannedServer(tmp_path / "other")
    try:
        error = failure(server, ca=other.ca)
    finally:
        other.close()
    assert (error.reason, error.permanent) == ("TLSFailed", False)
    assert server.received == []


def test_a_certificate_for_another_name_is_refused(server: CannedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve(monkeypatch, "198.51.100.7", server.port)
    error = failure(server, host="sts.example")
    assert error.reason == "TLSFailed"
    assert "sts.example" in error.detail
    assert server.received == []


def resolve(monkeypatch: pytest.MonkeyPatch, address: str, port: int) -> None:
    """Lets every name have this address, and connections to it reach the local port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    found = [(family, socket.SOCK_STREAM, 6, "", (address, port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    class Redirected(socket.socket):
        def connect(self, where: Any) -> None:
            assert where == (address, port)
            super().connect(("127.0.0.1", port))

    monkeypatch.setattr(socket, "socket", Redirected)


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254"),
        *("0.0.0.0", "::", "224.0.0.1", "ff02::1"),  # noqa: S104 - nothing is bound
        *("127.0.0.1", "127.0.0.53", "::1", "::ffff:127.0.0.1"),
        *("100.100.100.200", "192.0.0.192", "168.63.129.16", "fd00:ec2::254"),
    ],
)
def test_a_name_never_leads_to_an_address_of_this_node(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    resolve(monkeypatch, address, 443)
    with pytest.raises(ExchangeError, match="resolves to") as raised:
        transport.post(Request(Endpoint("sts.example", 443, "/"), {"a": "b"}), "")
    assert raised.value.reason == "Unreachable"


def test_the_next_address_is_tried(server: CannedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        closed = reserved.getsockname()[1]
    kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
    found = [(*kind, ("169.254.1.1", 443)), (*kind, ("127.0.0.1", closed)), (*kind, ("127.0.0.1", server.port))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert post(server).status == 200


def test_nobody_listening_and_no_such_name_are_unreachable(server: CannedServer) -> None:
    server.close()
    assert failure(server).reason == "Unreachable"
    for host in ("no-such-host.invalid", "x" * 64 + ".example", "a..b"):
        assert failure(server, host=host).reason == "Unreachable"


def test_an_authority_file_that_is_not_there_is_said(server: CannedServer, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for name in ("none.pem", "empty.pem"):
        error = failure(server, ca=tmp_path / name)
        assert error.reason == "TLSFailed"
        assert name in error.detail


def test_the_environment_gives_authorities_but_no_proxy_and_no_key_log(
    server: CannedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    monkeypatch.setenv("SSL_CERT_FILE", str(server.ca))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    reply = transport.post(Request(Endpoint("127.0.0.1", server.port, "/"), {"a": "b"}), "")
    assert reply.status == 200
    assert not (tmp_path / "keys").exists()


def test_errors_never_hold_the_form(server: CannedServer) -> None:
    server.answer = [b"nonsense\r\n\r\n"]
    assert "geheim" not in repr(failure(server, token="geheim"))
    server.answer = [OK + b"Content-Length: 6\r\n\r\ngeheim"]
    assert "geheim" not in repr(post(server))


@pytest.mark.parametrize("place", ["folder", "bundle"])
def test_the_systems_authorities_are_found_in_its_folder_and_in_a_bundle_put_in_its_place(
    server: CannedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    folder, bundle = tmp_path / "certs", tmp_path / "cert.pem"
    other = Authority(tmp_path)
    folder.mkdir()
    (folder / "00000000.0").write_bytes(other.pem.read_bytes())
    bundle.write_bytes((server.ca if place == "bundle" else other.pem).read_bytes())
    if place == "folder":
        argv = ["openssl", "x509", "-hash", "-noout", "-in", str(server.ca)]
        name = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.strip()
        (folder / f"{name}.0").write_bytes(server.ca.read_bytes())
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    found = ssl.DefaultVerifyPaths(None, None, "SSL_CERT_FILE", str(bundle), "SSL_CERT_DIR", str(folder))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: found)
    # OpenSSL's own default paths are compiled in; what they are on this machine is not what is tested.
    monkeypatch.setattr(
        ssl.SSLContext, "set_default_verify_paths", lambda self: self.load_verify_locations(str(bundle), str(folder))
    )
    assert transport.post(Request(Endpoint("127.0.0.1", server.port, "/"), {"a": "b"}), "").status == 200
    assert len(server.received) == 1
