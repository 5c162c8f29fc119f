"""The served certificate follows its source: new handshakes get the new one, and a bad one is not taken."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from api_double import ApiDouble
from apostille.admission import certificates
from apostille.admission.certificates import Files, Secret, Serving
from apostille.core.certificates import fingerprint
from apostille.telemetry import health

PATH = "/api/v1/namespaces/own/secrets/apostille-serving-certificate"


@dataclass(frozen=True)
class Served:
    port: int
    serving: Serving

    async def shown(self, name: str | None = None) -> bytes:
        """The certificate of a new handshake, as a client sees it that asks for this name, or for none."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname=name or "")
        connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
        shown = connection.getpeercert(binary_form=True)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        assert shown is not None
        return shown

    async def until(self, issued: trustme.LeafCert, name: str | None = None) -> None:
        for _ in range(3000):
            if await self.shown(name) == _der(issued):
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the new certificate is not served")

    async def stays(self, shown: bytes) -> None:
        for _ in range(5):
            await asyncio.sleep(0.02)
            assert await self.shown() == shown


def _leaf(issued: trustme.LeafCert) -> bytes:
    return b"".join(part.bytes() for part in issued.cert_chain_pems)


def _der(issued: trustme.LeafCert) -> bytes:
    return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@contextlib.asynccontextmanager
async def serving(source: Files | Secret, client: Any = None) -> AsyncIterator[Served]:
    """On ``::``, so that both kinds of addresses are answered."""
    listener, made = health.listen("::", 0), Serving()
    source.begin(made, client)
    following = asyncio.create_task(source.follow())
    await source.there(made)
    accepting = await asyncio.start_server(lambda _, writer: writer.close(), sock=listener, ssl=made.context)
    async with accepting:
        yield Served(listener.getsockname()[1], made)
        assert not following.done(), "it has died of something"
    following.cancel()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setattr(certificates, "FILES_SECONDS", 0.01)
    made = Files(tmp_path / "tls.crt", tmp_path / "tls.key")
    write(made, authority.issue_cert("first.example"))
    return made


def write(files: Files, issued: trustme.LeafCert) -> None:
    files.certificate.write_bytes(_leaf(issued))
    files.key.write_bytes(issued.private_key_pem.bytes())


async def test_a_new_file_is_served_to_new_handshakes(authority: trustme.CA, files: Files) -> None:
    async with serving(files) as served:
        before = await served.shown()
        second = authority.issue_cert("second.example")

        write(files, second)
        await served.until(second)

        assert before != await served.shown()


@pytest.mark.parametrize("name", ["own.example", None])
async def test_one_with_another_kind_of_key_takes_the_place_of_the_first(
    authority: trustme.CA, files: Files, name: str | None
) -> None:
    """Also where the client sends no name: OpenSSL keeps one certificate for each kind of key, and would choose."""
    async with serving(files) as served:
        for kind in (trustme.KeyType.RSA, trustme.KeyType.ECDSA, trustme.KeyType.RSA):
            issued = authority.issue_cert("own.example", key_type=kind)
            write(files, issued)
            await served.until(issued, name)


async def test_a_pair_that_does_not_fit_is_not_taken_and_the_next_one_is(authority: trustme.CA, files: Files) -> None:
    async with serving(files) as served:
        before = await served.shown()
        foreign, third = authority.issue_cert("foreign.example"), authority.issue_cert("third.example")

        files.certificate.write_bytes(foreign.cert_chain_pems[0].bytes())  # its key is still the first one's
        await served.stays(before)
        files.key.unlink()
        await served.stays(before)

        write(files, third)
        await served.until(third)


def secret(issued: trustme.LeafCert, named: str | None = None) -> dict[str, Any]:
    """As the controller writes it; ``named`` is another digest in its annotation."""
    leaf, key = _leaf(issued), issued.private_key_pem.bytes()
    digest = fingerprint(leaf.decode()) if named is None else named
    return {
        "metadata": {"annotations": {"apostille.dev/serve": digest} if digest else {}},
        "data": {"tls.crt": base64.b64encode(leaf).decode(), "tls.key": base64.b64encode(key).decode()},
    }


async def test_the_secret_is_followed_at_once(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until there is one, probes get an answer, and nothing counts as served."""
    monkeypatch.setattr(certificates, "FIRST_SECONDS", 0.05)
    api, first, second = ApiDouble(), authority.issue_cert("first.example"), authority.issue_cert("second.example")
    async with serving(Secret("own"), api) as served:
        placeholder = await served.shown()
        assert served.serving.leaf == ""
        api.put(PATH, **secret(first))
        await served.until(first)
        assert served.serving.leaf == fingerprint(_leaf(first).decode())

        api.put(PATH, **secret(second))
        await served.until(second)

        assert placeholder not in (_der(first), _der(second))


async def test_what_the_controller_does_not_name_is_not_served(authority: trustme.CA) -> None:
    """Swapped for another pair, damaged, emptied, deleted: what is served stays."""
    api, first, other = ApiDouble(), authority.issue_cert("first.example"), authority.issue_cert("other.example")
    named = secret(first)["metadata"]["annotations"]["apostille.dev/serve"]
    api.put(PATH, **secret(first))
    async with serving(Secret("own"), api) as served:
        await served.until(first)
        damaged = secret(other)
        damaged["data"]["tls.key"] = secret(first)["data"]["tls.key"]
        for wrong in (
            secret(other, named),
            secret(other, ""),
            secret(other, "x"),
            damaged,
            {"metadata": {}, "data": {}},
        ):
            api.put(PATH, **wrong)
            await served.stays(_der(first))
        api.drop(PATH)
        await served.stays(_der(first))

        api.put(PATH, **secret(other))
        await served.until(other)
