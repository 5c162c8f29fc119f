"""The one part of the kubelet's HTTPS interface that is served: `kubectl logs`."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Find = Callable[[str, str, str, bool], Path]
FOLLOW = 0.2


def _tls(address: str, pair: tuple[Path, Path] | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if pair is not None:
        context.load_cert_chain(*map(str, pair))
        return context
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pod-runner")])
    present = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(present - datetime.timedelta(minutes=5))
        .not_valid_after(present + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:  # the ssl module reads keys from files only
        file.write(certificate.public_bytes(encoding) + private)
        file.flush()
        context.load_cert_chain(file.name)
    return context


class Logs:
    """A running server on `port`."""

    def __init__(self, runner: web.AppRunner, port: int) -> None:
        self._runner = runner
        self.port = port

    async def close(self) -> None:
        await self._runner.cleanup()


async def serve_logs(address: str, find: Find, pair: tuple[Path, Path] | None) -> Logs:
    """Serves GET /containerLogs/NAMESPACE/POD/CONTAINER on a free port.

    `find(namespace, pod, container, previous)` raises KeyError for an unknown one. `pair`: certificate and key; None: a
    self-signed one, which an API server without --kubelet-certificate-authority takes.
    """

    async def logs(request: web.Request) -> web.StreamResponse:
        names = request.match_info
        try:
            previous = request.query.get("previous") == "true"
            path = find(names["namespace"], names["pod"], names["container"], previous)
        except KeyError:
            raise web.HTTPNotFound(text="no such container on this node") from None
        data = path.read_bytes() if path.exists() else b""
        if "tailLines" in request.query:
            wanted = int(request.query["tailLines"])
            shown = b"".join(data.splitlines(keepends=True)[-wanted:]) if wanted else b""
        else:
            shown = data
        if request.query.get("follow") != "true":
            return web.Response(body=shown, content_type="text/plain")
        response = web.StreamResponse()
        response.content_type = "text/plain"
        await response.prepare(request)
        await response.write(shown)
        read = len(data)
        while path.parent.exists():
            with path.open("rb") as file:
                file.seek(read)
                more = file.read()
            if more:
                read += len(more)
                await response.write(more)
            await asyncio.sleep(FOLLOW)
        return response

    application = web.Application()
    application.router.add_get("/containerLogs/{namespace}/{pod}/{container}", logs)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, address, 0, ssl_context=_tls(address, pair)).start()
    return Logs(runner, int(runner.addresses[0][1]))
