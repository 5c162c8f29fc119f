"""The certificate that is served: from a Secret, or from files; a new one is taken up while connections go on."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from cryptography import x509

from apostille.core.certificates import KEY, LEAF, certificates, fingerprint
from apostille.kube.client import SECRETS, Client
from apostille.kube.reflector import Key, Reflector
from apostille.model.names import SERVE_ANNOTATION, SERVING_SECRET
from apostille.telemetry import metrics
from apostille.telemetry.logging import about

log = logging.getLogger(__name__)

FILES_SECONDS = 10.0
# How long a server that starts waits for a certificate before it answers probes with none.
FIRST_SECONDS = 5.0


class Serving:
    """The TLS settings of the server. New handshakes get what was taken last; connections that are open stay.

    ``context`` itself has no certificate. One that gets a second of another kind of key has both, and OpenSSL chooses.
    """

    def __init__(self) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.sni_callback = self._present
        self._current = self.context
        self.leaf = ""
        """By `fingerprint`; empty until there is one."""

    def take(self, leaf: str, key: str) -> None:
        """PEM texts; nothing changes where they do not fit. Raises ValueError."""
        pem = "".join(certificates(leaf)) + key
        try:
            ends = x509.load_pem_x509_certificate(leaf.encode()).not_valid_after_utc
            self._current = _with(pem)
        except (ssl.SSLError, ValueError) as error:
            raise ValueError(f"not a certificate with its key: {error}") from None
        self.leaf = fingerprint(leaf)
        metrics.CERTIFICATE_EXPIRY.set(ends.timestamp())
        log.info("certificate taken", extra={"certificate": self.leaf, "until": ends.isoformat()})

    def pretend(self) -> None:
        """Serves one that nobody trusts, so that probes get an answer until there is one."""
        from apostille.admission.placeholder import placeholder

        self._current = _with(placeholder(datetime.now(UTC), timedelta(days=1)))

    def _present(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        connection.context = self._current  # also where no name was sent, as kubelets do


class Source(Protocol):
    """Where the certificate comes from."""

    def begin(self, serving: Serving, client: Client) -> None:
        """Takes what is there at once, as far as it is. Raises OSError."""

    async def follow(self) -> None:
        """Takes what comes, until cancelled."""

    async def there(self, serving: Serving) -> None:
        """Returns when something can be served."""


@dataclass
class Files(Source):
    """PEM files; looked at now and then."""

    certificate: Path
    key: Path

    def begin(self, serving: Serving, client: Client | None = None) -> None:
        """Raises OSError naming the files."""
        self._serving, self._seen = serving, self._stamp()
        try:
            self._take()
        except (OSError, ValueError) as error:
            raise OSError(f"certificate {self.certificate} with key {self.key}: {error}") from None

    async def follow(self) -> None:
        while True:
            await asyncio.sleep(FILES_SECONDS)
            if (now := self._stamp()) == self._seen:
                continue
            try:
                self._take()
                self._seen = now
            except (OSError, ValueError) as error:
                log.warning("certificate not loaded", extra={"reason": str(error)})

    async def there(self, serving: Serving) -> None:
        """At once."""

    def _take(self) -> None:
        self._serving.take(self.certificate.read_text(errors="replace"), self.key.read_text(errors="replace"))

    def _stamp(self) -> tuple[int, ...]:
        return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in (self.certificate, self.key))


@dataclass
class Secret(Source):
    """The Secret that the controller keeps; watched. What it does not name by digest is not taken.

    The controller names a leaf when every caBundle in force verifies it. Where the Secret goes, or is damaged, what is
    served stays.
    """

    namespace: str

    def begin(self, serving: Serving, client: Client) -> None:
        self._serving, self._taken = serving, asyncio.Event()
        path = SECRETS.path(namespace=self.namespace)
        self._copy: Reflector[dict[str, Any]] = Reflector(client, path, dict, self._heard, name=SERVING_SECRET)

    async def follow(self) -> None:
        await self._copy.run()

    async def there(self, serving: Serving) -> None:
        """When there is one, or will not be for a while: then probes get an answer, and nobody else comes."""
        try:
            async with asyncio.timeout(FIRST_SECONDS):
                await self._taken.wait()
        except TimeoutError:
            if not serving.leaf:
                serving.pretend()

    def _heard(self, key: Key, before: dict[str, Any] | None, after: dict[str, Any] | None) -> None:
        named = ((after or {"metadata": {}})["metadata"].get("annotations") or {}).get(SERVE_ANNOTATION)
        if after is None or not named or named == self._serving.leaf:
            return
        data = after.get("data") or {}
        try:
            leaf, private = (base64.b64decode(data.get(name) or "").decode() for name in (LEAF, KEY))
            if fingerprint(leaf) != named:
                raise ValueError("it is not the certificate that the controller wrote")
            self._serving.take(leaf, private)
            self._taken.set()
        except (binascii.Error, ValueError) as error:
            log.warning(
                "certificate not taken",
                extra={**about(SECRETS.kind, SERVING_SECRET, self.namespace), "reason": str(error)},
            )


def _with(pem: str) -> ssl.SSLContext:
    """Raises ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # OpenSSL only reads files; this one is in memory and has no name. A key never lies on a disk.
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(pem.encode())
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")  # else a key that has one would ask for it
    return context
