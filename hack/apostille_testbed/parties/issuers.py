"""Where relying parties that are real servers find an issuer's documents, without any network or anonymous access.

A cluster whose API server answers nobody without credentials publishes discovery document and keys elsewhere; this is
that elsewhere. The servers reach it under the issuer's own name, through a proxy that knows these names and no other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from apostille_testbed.parties.proxy import Proxy
from apostille_testbed.parties.serving import Reply, Request, Server
from apostille_testbed.parties.tls import Authority

if TYPE_CHECKING:
    from apostille_testbed.control_plane import ControlPlane

DISCOVERY = "/.well-known/openid-configuration"
KEYS = "/openid/v1/jwks"

Read = Callable[[str], Any]
"""Takes `DISCOVERY` or `KEYS`, returns the decoded document; an OSError or RuntimeError is answered with 503."""


def of(control_plane: ControlPlane) -> Read:
    """Reads a control plane's documents as its administrator, anew for every reader."""
    return lambda path: control_plane.client.request("GET", path)


_CLUSTERS = "*.issuer.example"
"""The issuers of control planes."""


class IssuerSite:
    """Serves ``issuers`` (URL to `Read`) over TLS under their own names, to whoever comes through its proxy."""

    def __init__(self, issuers: Mapping[str, Read], directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._issuers = {_host(url): (url, read) for url, read in issuers.items()}
        authority = Authority(directory)
        self.ca = authority.pem
        """The PEM file that its readers must trust."""
        self._server = Server(self._answer, authority.server({*self._issuers, _CLUSTERS}), "127.0.0.1")
        self._proxy = Proxy(self._issuers, self._server.port)
        self.environment = {"HTTPS_PROXY": self._proxy.url, "NO_PROXY": "127.0.0.1,localhost"}
        """What makes a program find it."""
        self.reads = 0
        """How often a key set was read."""

    def add(self, url: str, read: Read) -> None:
        """One more issuer, below `_CLUSTERS`."""
        self._issuers[_host(url)] = (url, read)

    def start(self) -> None:
        """Begins to answer."""
        self._server.start()
        self._proxy.start()

    def stop(self) -> None:
        """Refuses connections until `start`."""
        self._server.stop()

    def close(self) -> None:
        """Stops for good."""
        self._proxy.close()
        self._server.close()

    def _answer(self, request: Request) -> Reply:
        url, read = self._issuers.get(request.host, ("", None))
        path = request.path.removeprefix(urlsplit(url).path.rstrip("/"))
        if read is None or path not in (DISCOVERY, KEYS):
            return Reply(404)
        try:
            document = read(path)
        except (OSError, RuntimeError):
            return Reply(503)
        if path == KEYS:
            self.reads += 1
        else:
            # The API server names its own address, which only its own clients can read.
            document = {**document, "jwks_uri": url.rstrip("/") + KEYS}
        return Reply(200, json.dumps(document).encode(), {"Content-Type": "application/json"})


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
