"""One HTTPS request: verified TLS, no redirects, no ambient proxy, bounded in size and time.

Written out instead of using ``http.client``: that costs 2 MiB in every pod (it brings the e-mail parser), bounds single
reads but not the whole, and connects to whatever a name resolves to.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import time
from collections.abc import Mapping
from functools import partial

from apostille_exchange import errors
from apostille_exchange.errors import ExchangeError
from apostille_exchange.messages import Endpoint, Reply, Request

TIMEOUT = 20.0  # seconds for one request, name resolution aside
CONNECT_TIMEOUT = 6.0  # seconds for one address of several
MAX_BODY = 64 * 1024
MAX_HEAD = 16 * 1024

TYPE_CHECKING = False
if TYPE_CHECKING:
    from apostille_exchange.proxy import Proxy

_EOL = "\r\n"
# Beyond link-local: Alibaba Cloud, Oracle Cloud, Azure's WireServer, EC2 over IPv6.
_METADATA = (
    b"\x64\x64\x64\xc8",
    b"\xc0\x00\x00\xc0",
    b"\xa8\x3f\x81\x10",
    b"\xfd\x00\x0e\xc2" + b"\0" * 10 + b"\x02\x54",
)


def post(request: Request, ca: str, proxy: Proxy | None = None) -> Reply:
    """Sends a request, by ``proxy`` where it leads there.

    ``ca`` is PEM text or a PEM file, then nothing else is trusted; empty: the system's (``SSL_CERT_FILE``).
    Raises ExchangeError: Unreachable, TLSFailed, BadReply.
    """
    to, body = request.endpoint, request.body()
    added = "".join(f"{name}: {value}{_EOL}" for name, value in request.headers.items())
    if added.count("\n") != len(request.headers) or added.count("\r") != len(request.headers):
        raise ExchangeError(errors.MISCONFIGURED, "a header with a line's end in it", permanent=True)
    host = f"[{to.host}]" if ":" in to.host else to.host
    head = (
        f"POST {to.path} HTTP/1.1\r\n"
        f"Host: {host if to.port == 443 else f'{host}:{to.port}'}\r\n"
        "User-Agent: apostille-exchange\r\n"
        f"Content-Type: {request.media_type}\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"{added}"
        "Connection: close\r\n\r\n"
    )
    context = _context(ca) if ca else None
    deadline = time.monotonic() + TIMEOUT
    try:
        sent = head.encode("ascii") + body
        if context is not None:
            return _send(context, to, sent, deadline, proxy)
        try:
            return _send(_system(folder_alone=True), to, sent, deadline, proxy)
        except ssl.SSLCertVerificationError:
            # Nothing was sent yet. Some bundles are put in the place of the system's, without the folder beside it.
            return _send(_system(folder_alone=False), to, sent, deadline, proxy)
    except ssl.SSLCertVerificationError as error:
        raise ExchangeError(errors.TLS_FAILED, f"{to.host}: {error.verify_message}") from None
    except TimeoutError:
        raise ExchangeError(errors.UNREACHABLE, f"{to.host}: no whole reply in time") from None
    except ConnectionError:
        raise _cut_off(to) from None
    except ssl.SSLError as error:
        # The first Pythons 3.11 tell the end by its reason only.
        if isinstance(error, ssl.SSLEOFError) or error.reason == "UNEXPECTED_EOF_WHILE_READING":
            raise _cut_off(to) from None
        raise ExchangeError(errors.TLS_FAILED, f"{to.host}: {error.reason or type(error).__name__}") from None
    except UnicodeError:
        raise ExchangeError(errors.UNREACHABLE, f"{to.host}: not a host name", permanent=True) from None
    except OSError as error:
        raise ExchangeError(errors.UNREACHABLE, f"{to.host}: {error.strerror or type(error).__name__}") from None


def _cut_off(to: Endpoint) -> ExchangeError:
    return ExchangeError(errors.UNREACHABLE, f"{to.host}: the connection was refused or cut off")


def _send(context: ssl.SSLContext, to: Endpoint, sent: bytes, deadline: float, proxy: Proxy | None) -> Reply:
    # A body that ends with its connection is whole only if TLS says so (RFC 9112 §9.8).
    wrap = partial(context.wrap_socket, server_hostname=to.host, suppress_ragged_eofs=False)
    with _reach(to, deadline, proxy) as plain, wrap(plain) as secure:
        secure.sendall(sent)
        return _Reader(secure, deadline).reply()


def _bare() -> ssl.SSLContext:
    # Not create_default_context: it would write TLS keys to SSLKEYLOGFILE.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # The first Pythons 3.11 set it: a connection that was cut would end like one that is over.
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    return context


def _context(ca: str) -> ssl.SSLContext:
    context = _bare()
    try:
        if ca.lstrip().startswith("-----BEGIN "):
            context.load_verify_locations(cadata=ca)
        else:
            context.load_verify_locations(cafile=ca)
    except OSError as error:
        ca = "" if "\n" in ca else ca
        raise ExchangeError(errors.TLS_FAILED, f"CA bundle {ca}: {error.strerror or 'no certificates'}") from None
    return context


def _system(folder_alone: bool) -> ssl.SSLContext:
    """``folder_alone``: a hashed directory is looked into for the one authority that is needed, where there is one;
    the bundle beside it would have them all in memory, 1.6 MiB.
    """
    context = _bare()
    paths = ssl.get_default_verify_paths()
    chosen = os.environ.get(paths.openssl_cafile_env) or os.environ.get(paths.openssl_capath_env)
    with contextlib.suppress(OSError):
        if folder_alone and not chosen and any(name.endswith(".0") for name in os.listdir(paths.openssl_capath)):
            context.load_verify_locations(capath=paths.openssl_capath)
            return context
    context.set_default_verify_paths()
    return context


def _reach(to: Endpoint, deadline: float, proxy: Proxy | None) -> socket.socket:
    """A connection to the party. Raises OSError, ExchangeError."""
    if proxy is None or not proxy.leads_to(to.host):
        return _connect(to, deadline)
    for family, literal in ((socket.AF_INET, "." in to.host), (socket.AF_INET6, ":" in to.host)):
        with contextlib.suppress(OSError):
            if literal and (why := _forbidden(family, to.host, to.host)):
                raise ExchangeError(errors.UNREACHABLE, f"{to.host}: {why}")
    from apostille_exchange.proxy import tunnel

    try:
        connection = _connect(Endpoint(proxy.host, proxy.port, ""), deadline)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ExchangeError(errors.UNREACHABLE, f"{to.host}: the egress proxy {proxy.host}: {why}") from None
    try:
        tunnel(connection, proxy, to.host, to.port, deadline)
        connection.settimeout(max(0.001, deadline - time.monotonic()))
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(to: Endpoint, deadline: float) -> socket.socket:
    """A connection to the first address that answers. Raises OSError, ExchangeError for addresses never used."""
    failure: OSError | None = None
    refused: ExchangeError | None = None
    for family, kind, protocol, _, address in socket.getaddrinfo(to.host, to.port, type=socket.SOCK_STREAM):
        if why := _forbidden(family, str(address[0]), to.host):
            refused = ExchangeError(errors.UNREACHABLE, f"{to.host}: {why}")
            continue
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(max(0.001, min(CONNECT_TIMEOUT, deadline - time.monotonic())))
            connection.connect(address)
        except OSError as error:
            connection.close()
            failure = error
            continue
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        return connection
    raise failure or refused or OSError(f"{to.host} has no address")


def _forbidden(family: int, address: str, host: str) -> str:
    """Why nothing is ever sent there (design §5, "Addresses"), or empty.

    A loopback address is what an admission may name literally, never what a name may turn out to be.
    """
    packed = socket.inet_pton(family, address.partition("%")[0])
    if len(packed) == 16 and packed.startswith(b"\0" * 10 + b"\xff\xff"):
        packed = packed[12:]
    four = len(packed) == 4
    if packed.startswith(b"\xa9\xfe") if four else packed[0] == 0xFE and packed[1] & 0xC0 == 0x80:
        return "resolves to a link-local address"
    if packed in _METADATA:
        return "resolves to a cloud's metadata service"
    if not any(packed) or (packed[0] & 0xF0 == 0xE0 if four else packed[0] == 0xFF):
        return "resolves to no host's address"
    if (packed[0] == 127 if four else packed == b"\0" * 15 + b"\1") and host not in (address, "localhost"):
        return "resolves to a loopback address"
    return ""


class _Reader:
    """Reads one HTTP/1.1 reply (RFC 9112)."""

    def __init__(self, connection: ssl.SSLSocket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._buffer = b""

    def reply(self) -> Reply:
        status, headers = self._head()
        while 100 <= status < 200:
            status, headers = self._head()
        if 300 <= status < 400:
            raise ExchangeError(errors.BAD_REPLY, "a redirect, which is not followed", status=status)
        return Reply(status, headers, self._body(status, headers))

    def _head(self) -> tuple[int, dict[str, str]]:
        lines = self._until(b"\r\n\r\n", MAX_HEAD).decode("latin-1").split("\r\n")
        version, _, rest = lines[0].partition(" ")
        if version not in ("HTTP/1.1", "HTTP/1.0") or not rest[:3].isdecimal() or rest[3:4] not in ("", " "):
            raise _bad("not HTTP/1.1")
        headers: dict[str, str] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise _bad("a malformed header")
            key = name.lower()
            headers[key] = f"{headers[key]},{value.strip()}" if key in headers else value.strip()
        return int(rest[:3]), headers

    def _body(self, status: int, headers: Mapping[str, str]) -> bytes:
        if status in (204, 304):
            return b""
        if (coding := headers.get("transfer-encoding")) is not None:
            if coding.lower() != "chunked":
                raise _bad("a transfer coding that was not asked for")
            return self._chunks()
        if (length := headers.get("content-length")) is not None:
            if not length.isdecimal() or len(length) > 9 or int(length) > MAX_BODY:
                raise _bad(f"a body that is longer than {MAX_BODY} bytes")
            return self._exactly(int(length))
        while self._fill():
            if len(self._buffer) > MAX_BODY:
                raise _bad(f"a body that is longer than {MAX_BODY} bytes")
        return self._buffer

    def _chunks(self) -> bytes:
        body = b""
        while True:
            size = self._until(b"\r\n", 256).partition(b";")[0].strip()
            if not size or size.strip(b"0123456789abcdefABCDEF"):
                raise _bad("a malformed chunk")
            length = int(size, 16)
            if length == 0:
                return body  # trailers are of no interest, and the connection is closed
            if len(body) + length > MAX_BODY:
                raise _bad(f"a body that is longer than {MAX_BODY} bytes")
            body += self._exactly(length)
            if self._exactly(2) != b"\r\n":
                raise _bad("a malformed chunk")

    def _until(self, mark: bytes, limit: int) -> bytes:
        while (end := self._buffer.find(mark)) < 0:
            if len(self._buffer) > limit:
                raise _bad("a header that is too long")
            if not self._fill():
                raise _bad("a reply that was cut off")
        found, self._buffer = self._buffer[:end], self._buffer[end + len(mark) :]
        return found

    def _exactly(self, length: int) -> bytes:
        while len(self._buffer) < length:
            if not self._fill():
                raise _bad("a reply that was cut off")
        found, self._buffer = self._buffer[:length], self._buffer[length:]
        return found

    def _fill(self) -> bool:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        data = self._connection.recv(16384)
        self._buffer += data
        return bool(data)


def _bad(what: str) -> ExchangeError:
    return ExchangeError(errors.BAD_REPLY, f"the reply is {what}" if what.startswith("not") else f"it sent {what}")
