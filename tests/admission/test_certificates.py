"""The served certificate follows its files: new handshakes get the new one, and a bad one is not taken."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from apostille.admission import server
from apostille.telemetry import health


@dataclass(frozen=True)
class Served:
    port: int
    certificate: Path
    key: Path

    def write(self, issued: trustme.LeafCert) -> None:
        self.certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        self.key.write_bytes(issued.private_key_pem.bytes())

    async def shown(self) -> bytes:
        """The certificate of a new handshake, as the client sees it."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
        shown = connection.getpeercert(binary_form=True)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        assert shown is not None
        return shown

    async def until(self, issued: trustme.LeafCert) -> None:
        for _ in range(3000):
            if await self.shown() == _der(issued):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the new certificate is not served")


def _der(issued: trustme.LeafCert) -> bytes:
    return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def served(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    """On ``::``, so that both kinds of addresses are answered."""
    monkeypatch.setattr(server, "CERTIFICATE_SECONDS", 0.01)
    listener = health.listen("::", 0)
    files = Served(listener.getsockname()[1], tmp_path / "tls.crt", tmp_path / "tls.key")
    files.write(authority.issue_cert("first.example"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    following = asyncio.create_task(server._reload(context, files.certificate, files.key))
    accepting = await asyncio.start_server(lambda _, writer: writer.close(), sock=listener, ssl=context)
    async with accepting:
        yield files
        assert not following.done(), "it has died of something"
    following.cancel()


async def test_a_new_certificate_is_served_to_new_handshakes(authority: trustme.CA, served: Served) -> None:
    before = await served.shown()
    second = authority.issue_cert("second.example")

    served.write(second)
    await served.until(second)

    assert before != await served.shown()


async def test_a_pair_that_does_not_fit_is_not_taken_and_the_next_one_is(authority: trustme.CA, served: Served) -> None:
    before = await served.shown()
    foreign, third = authority.issue_cert("foreign.example"), authority.issue_cert("third.example")

    served.certificate.write_bytes(foreign.cert_chain_pems[0].bytes())  # its key is still the first one's
    for _ in range(5):
        await asyncio.sleep(0.02)
        assert await served.shown() == before
    served.key.unlink()
    for _ in range(5):
        await asyncio.sleep(0.02)
        assert await served.shown() == before

    served.write(third)
    await served.until(third)
