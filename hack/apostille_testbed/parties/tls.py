"""The testbed's own certificate authority, so that clients verify TLS instead of being told not to."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path

import trustme


class Authority:
    """A CA that lives as long as its party; its key never leaves the process."""

    def __init__(self, directory: Path) -> None:
        self._ca = trustme.CA(organization_name="Apostille testbed")
        self.pem = directory / "ca.pem"
        self._ca.cert_pem.write_to_path(str(self.pem))

    def server(self, names: Iterable[str]) -> ssl.SSLContext:
        """A server context with one certificate for all ``names``: DNS names, ``*.`` wildcards, IP addresses."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._ca.issue_cert(*names).configure_cert(context)
        return context
