"""Relying parties that answer badly, over real sockets and TLS: each is asked once, then told from memory."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from apostille_exchange import transport
from apostille_exchange.errors import ExchangeError
from apostille_exchange.messages import Endpoint, Reply, Request
from exchange.scene import NAMESPACE

Outcome = Reply | ExchangeError


def error(status: int, code: str, message: str = "", **headers: str) -> bytes:
    """STS' error reply on the wire."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return whole(status, "text/xml", f'<ErrorResponse xmlns="{NAMESPACE}">{body}</ErrorResponse>'.encode(), **headers)


def whole(status: int, kind: str, body: bytes, **headers: str) -> bytes:
    """A reply on the wire."""
    named = {"Content-Type": kind, "Content-Length": str(len(body))} | headers
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body


@dataclass(frozen=True)
class Fault:
    """One way to answer badly: what is sent, and whether the connection then hangs, breaks off or is never made."""

    name: str
    sent: bytes = b""
    endless: bool = False
    after: str = "close"  # close | hang | reset
    tls: str = "good"  # good | other-authority | expired-authority | plain
    dns: bool = True
    echoes: bool = False


HUGE = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 209715200\r\n\r\n"
UNBOUNDED = b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n\r\n"
FAULTS = (
    Fault("400", error(400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account")),
    Fault("400 that echoes the assertion", error(400, "InvalidIdentityToken", "bad token {assertion}"), echoes=True),
    Fault("401", whole(401, "text/html", b"<html>who are you")),
    Fault("403", error(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")),
    Fault("429 with Retry-After", error(429, "Throttling", "Rate exceeded", Retry_After="90")),
    Fault("500", error(500, "InternalFailure")),
    Fault("503", whole(503, "text/html", b"<html>service unavailable")),
    Fault("truncated document", whole(200, "text/xml", b"<AssumeRoleWithWebIdentityResponse><Assume")),
    Fault("wrong content type", whole(200, "text/html", b"<html>please log in")),
    Fault("200 MB, announced", HUGE, endless=True),
    Fault("200 MB, not announced", UNBOUNDED, endless=True),
    Fault("slow-loris", b"HTTP/1.1 200 OK\r\nContent-Ty", after="hang"),
    Fault("half-close", b"HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: 900\r\n\r\n<A"),
    Fault("reset", b"", after="reset"),
    Fault("redirect", whole(302, "text/html", b"", Location="https://elsewhere.example/")),
    Fault("TLS: another authority", tls="other-authority"),
    Fault("TLS: the authority has expired", tls="expired-authority"),
    Fault("no TLS at all", b"HTTP/1.1 400 Bad Request\r\n\r\n", tls="plain"),
    Fault("no such name", dns=False),
)


class Answers:
    """What the sidecar's own transport makes of each fault."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._told: dict[str, Outcome] = {}

    def of(self, fault: Fault, assertion: str) -> Outcome:
        """Asks for real the first time."""
        key = fault.name if not fault.echoes else f"{fault.name} {assertion}"
        if key not in self._told:
            self._told[key] = self._ask(fault, assertion)
        return self._told[key]

    def _ask(self, fault: Fault, assertion: str) -> Outcome:
        if not fault.dns:
            return _outcome(Endpoint("no-such-host.invalid", 443, "/"), "", assertion)
        folder = self._directory / str(len(self._told))
        folder.mkdir(parents=True)
        with _party(fault, folder, assertion) as (port, ca):
            return _outcome(Endpoint("127.0.0.1", port, "/"), str(ca), assertion)


def _outcome(to: Endpoint, ca: str, assertion: str) -> Outcome:
    try:
        return transport.post(Request(to, {"WebIdentityToken": assertion}), ca)
    except ExchangeError as found:
        return found


@contextmanager
def _party(fault: Fault, folder: Path, assertion: str) -> Iterator[tuple[int, Path]]:
    context, ca = _tls(fault.tls, folder)
    done = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError), listener.accept()[0] as plain:
            plain.settimeout(20)
            with context.wrap_socket(plain, server_side=True) if context else plain as connection:
                if fault.after == "reset":
                    plain.close()
                    return
                received = b""
                while b"WebIdentityToken" not in received and (part := connection.recv(65536)):
                    received += part
                    if fault.tls == "plain":
                        break
                connection.sendall(fault.sent.replace(b"{assertion}", assertion.encode()))
                sent = 0
                while fault.endless and not done.is_set() and sent < 200 * 1024 * 1024:
                    connection.sendall(b"x" * 65536)
                    sent += 65536
                if fault.after == "hang":
                    done.wait(20)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], ca
    finally:
        done.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(20)


def _tls(kind: str, folder: Path) -> tuple[ssl.SSLContext | None, Path]:
    ca, context = folder / "ca.pem", ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(ca))
    if kind == "plain":
        return None, ca
    if kind == "expired-authority":
        _expired(folder, context, ca)
    else:
        signer = authority if kind == "good" else trustme.CA()
        signer.issue_cert("127.0.0.1").configure_cert(context)
    return context, ca


def _expired(folder: Path, context: ssl.SSLContext, ca: Path) -> None:
    """An authority that ended yesterday, and a server's certificate of it that has not."""
    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("authority", "server")]

    def certificate(who: int, ends: datetime.timedelta) -> Callable[..., x509.CertificateBuilder]:
        return lambda: (
            x509.CertificateBuilder()
            .subject_name(names[who])
            .issuer_name(names[0])
            .public_key(keys[who].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=9))
            .not_valid_after(now + ends)
            .add_extension(x509.BasicConstraints(ca=who == 0, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(keys[who].public_key()), critical=False)
        )

    import ipaddress

    alternative = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    top = certificate(0, -datetime.timedelta(days=1))().sign(keys[0], hashes.SHA256())
    leaf = certificate(1, datetime.timedelta(days=9))().add_extension(alternative, False).sign(keys[0], hashes.SHA256())
    pem = serialization.Encoding.PEM
    ca.write_bytes(top.public_bytes(pem))
    (folder / "leaf.pem").write_bytes(leaf.public_bytes(pem))
    (folder / "leaf.key").write_bytes(
        keys[1].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context.load_cert_chain(folder / "leaf.pem", folder / "leaf.key")


def given(answers: Answers, fault: Fault) -> Callable[[Mapping[str, str]], Reply]:
    """The fault as an answer of `Pod`."""

    def answer(form: Mapping[str, str]) -> Reply:
        found = answers.of(fault, form["WebIdentityToken"])
        if isinstance(found, ExchangeError):
            raise type(found)(
                found.reason, found.detail, permanent=found.permanent, code=found.code, status=found.status
            )
        return found

    return answer
