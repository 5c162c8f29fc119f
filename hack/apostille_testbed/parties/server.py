"""What relying parties that are real servers have in common: folder, authority, port, and one process."""

from __future__ import annotations

import http.client
import shutil
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from apostille_testbed import pki, processes
from apostille_testbed.parties.issuers import IssuerSite
from apostille_testbed.parties.programs import program
from apostille_testbed.ports import ListenerPort
from apostille_testbed.progress import Say

START_SECONDS = 240.0


@dataclass(frozen=True)
class RawReply:
    """Status and body of a reply."""

    status: int
    body: bytes = field(repr=False)


class RealServer:
    """A server on loopback with a folder and an authority of its own; a subclass says how it is run.

    Args:
        site: where it reads issuers' documents.
        directory: where all its files are; a temporary one, removed by `close`, when left out.
        bind: the IPv4 address to listen on.
        port: the TCP port; 0 takes a free one, which is kept until `close`.
        hosts: names that its certificate is valid for besides loopback; default: NAME.example.
        say: takes lines of progress when it must be built.
    """

    name: ClassVar[str]
    """Of the program, the log and the temporary folder."""

    def __init__(
        self,
        *,
        site: IssuerSite | None = None,
        directory: Path | None = None,
        bind: str = "127.0.0.1",
        port: int = 0,
        hosts: Sequence[str] | None = None,
        say: Say | None = None,
    ) -> None:
        self.program = program(self.name, say)
        self._temporary = None if directory else Path(tempfile.mkdtemp(prefix=f"apostille-{self.name}-"))
        self.directory = directory or self._temporary or Path()
        self.site, self.bind, self._given = site, bind, port
        self._hosts = (f"{self.name}.example",) if hosts is None else tuple(hosts)
        self._ports = [ListenerPort()]
        authority = pki.Authority(self.directory / "pki", f"{self.name}-ca")
        self.ca = authority.certificate
        """The PEM file that its clients must trust."""
        self.certificate, self.key = authority.server(self.name, [bind, "localhost", *self._hosts])
        self._tls = ssl.create_default_context(cafile=str(self.ca))
        self._process: processes.Process | None = None

    @property
    def port(self) -> int:
        """Its TCP port, the same after `stop` and `start`."""
        return self._given or self._ports[0].number

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://{self.bind}:{self.port}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names by which pods may know it."""
        return self._hosts

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self.process.pid

    @property
    def process(self) -> processes.Process:
        """The running server."""
        assert self._process is not None, f"{self.name} does not run"
        return self._process

    @property
    def log(self) -> str:
        """What it wrote so far."""
        return (self.directory / f"{self.name}.log").read_text(errors="replace")

    def command(self) -> Sequence[str | Path]:
        """Program and arguments."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """What it needs beyond PATH, HOME and the issuers' site."""
        return {}

    def ready(self) -> bool:
        """Whether it answers."""
        raise NotImplementedError

    def started(self) -> None:
        """What is left to do once it answers."""

    def start(self) -> None:
        """Starts the server; returns when it can judge."""
        if self._process is not None:
            return
        self._process = processes.start(
            self.name,
            self.command(),
            self.directory,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(self.directory),
                **(self.site.environment if self.site else {}),
                **self.environment(),
            },
            ready=self.ready,
            timeout=START_SECONDS,
            keep_log=True,
        )
        self.started()

    def stop(self) -> None:
        """Kills the server; port stays, and state where it has any on disk."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def close(self) -> None:
        """Stops for good and removes what it wrote."""
        self.stop()
        for port in self._ports:
            port.close()
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def further_port(self) -> ListenerPort:
        """One more port, kept until `close`."""
        self._ports.append(ListenerPort())
        return self._ports[-1]

    def request(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, port: int = 0
    ) -> RawReply:
        """One request over verified TLS. Raises OSError or http.client.HTTPException."""
        connection = http.client.HTTPSConnection(self.bind, port or self.port, timeout=60, context=self._tls)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return RawReply(response.status, response.read())
        finally:
            connection.close()
