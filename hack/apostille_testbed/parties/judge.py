"""What the judges written for this testbed have in common: one HTTPS server, the issuers' keys, an outage on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from apostille_testbed.parties.assertions import Verifier
from apostille_testbed.parties.keys import Address, KeySource
from apostille_testbed.parties.serving import Reply, Request, Server
from apostille_testbed.parties.tls import Authority
from apostille_testbed.scratch import Scratch


class Judge:
    """A relying party on one loopback port; subclasses say what is answered. Thread-safe.

    Args:
        name: of its scratch folder.
        hosts: the vendor's host names that its certificate is valid for.
        algorithms: those that the vendor documents.
        clock: seconds since the epoch.
        resolve: where each issuer is really served, in place of public DNS.
        directory: holds ``ca.pem``; a temporary one, removed by `close`, when left out.
        leeway: seconds granted around exp, nbf and iat.
        short: seconds that credentials live which it gives to these subjects, so that one sees them renewed.
    """

    def __init__(
        self,
        name: str,
        hosts: Iterable[str],
        algorithms: frozenset[str],
        clock: Callable[[], float],
        *,
        resolve: Mapping[str, Address] | None = None,
        directory: Path | None = None,
        bind: str = "127.0.0.1",
        port: int = 0,
        leeway: int = 0,
        short: Mapping[str, int] | None = None,
    ) -> None:
        self._scratch = None if directory else Scratch(name)
        self._bind = bind
        self.clock, self._short = clock, short or {}
        self.hosts = tuple(hosts)
        self._keys = KeySource(clock, 5.0, 300.0)
        for issuer, address in (resolve or {}).items():
            self._keys.resolve(issuer, address)
        self.verifier = Verifier(self._keys, algorithms, clock, leeway)
        self.lock = threading.Lock()
        self._outage = False
        authority = Authority(directory or (self._scratch.directory if self._scratch else Path()))
        self.ca = authority.pem
        names = (*self.hosts, "localhost", "127.0.0.1", "::1", bind)
        self._server = Server(self._answer, authority.server(dict.fromkeys(names)), bind, port)

    def life(self, subject: str, vendors: int) -> int:
        """Seconds that a subject's credential lives; ``vendors``: those that the vendor gives everybody."""
        return self._short.get(subject, vendors)

    @property
    def port(self) -> int:
        """The TCP port, the same after `stop` and `start`."""
        return self._server.port

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://{self._bind}:{self.port}"

    def resolve(self, issuer: str, url: str, ca: Path) -> None:
        """Says where ``issuer`` serves discovery and keys: an https URL in its place, and the PEM file of its CA."""
        self._keys.resolve(issuer, Address(url, ca))

    def outage(self, on: bool) -> None:
        """Answers everything with 503 while ``on``."""
        self._outage = on

    def start(self) -> None:
        """Begins to answer; returns when the port accepts connections."""
        self._server.start()

    def stop(self) -> None:
        """Drops every connection and refuses new ones; state and port stay."""
        self._server.stop()

    def close(self) -> None:
        """Stops for good and removes temporary files."""
        self._server.close()
        if self._scratch:
            self._scratch.close()

    def answer(self, request: Request) -> Reply:
        """The vendor's reply."""
        raise NotImplementedError

    def _answer(self, request: Request) -> Reply:
        return Reply(503) if self._outage else self.answer(request)
