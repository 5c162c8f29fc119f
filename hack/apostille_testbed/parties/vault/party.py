"""A real Vault on loopback, configured over its API by the documents that were rendered for it."""

from __future__ import annotations

import http.client
import json
import shutil
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apostille_testbed import pki, processes
from apostille_testbed.parties.issuers import IssuerSite
from apostille_testbed.parties.programs import program
from apostille_testbed.ports import ListenerPort
from apostille_testbed.progress import Say

_START_SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """A reply: status, and the decoded body."""

    status: int
    body: dict[str, Any]

    @property
    def errors(self) -> str:
        """Vault's own words, empty where it did not refuse."""
        return "; ".join(self.body.get("errors") or ())


class VaultRefused(RuntimeError):
    """Vault refused a document that was to be applied; the message names it."""


class VaultParty:
    """One Vault server with its own authority, storage and root token; KV version 2 is mounted at ``secret``.

    Args:
        site: where it reads issuers' documents; without one only key files would work.
        directory: where all its files are; a temporary one, removed by `close`, when left out.
        bind: the IPv4 address to listen on.
        port: the TCP port; 0 takes a free one, which is kept until `close`.
        hosts: names that its certificate is valid for besides loopback.
        say: takes lines of progress when Vault must be built.
    """

    def __init__(
        self,
        *,
        site: IssuerSite | None = None,
        directory: Path | None = None,
        bind: str = "127.0.0.1",
        port: int = 0,
        hosts: Sequence[str] = ("vault.example",),
        say: Say | None = None,
    ) -> None:
        self._program = program("vault", say)
        self._temporary = None if directory else Path(tempfile.mkdtemp(prefix="apostille-vault-"))
        self._directory = directory or self._temporary or Path()
        self._site, self._hosts, self._bind, self._given = site, tuple(hosts), bind, port
        self._ports = (ListenerPort(), ListenerPort())
        authority = pki.Authority(self._directory / "pki", "vault-ca")
        self.ca = authority.certificate
        pair = authority.server("vault", [bind, "localhost", *hosts])
        self._tls = ssl.create_default_context(cafile=str(self.ca))
        self._write_configuration(pair)
        self._process: processes.Process | None = None
        self._unseal_key = ""
        self.root_token = ""
        """Its administrator's token."""

    @property
    def port(self) -> int:
        """Its TCP port, the same after `stop` and `start`."""
        return self._given or self._ports[0].number

    @property
    def url(self) -> str:
        """Its address, for ``VAULT_ADDR``."""
        return f"https://{self._bind}:{self.port}"

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names by which pods may know it."""
        return self._hosts

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Starts the server and unseals it; the first time it is initialised. Returns when it answers."""
        if self._process is not None:
            return
        trust = {"SSL_CERT_FILE": str(self._site.ca), **self._site.environment} if self._site else {}
        self._process = processes.start(
            "vault",
            [self._program, "server", f"-config={self._directory / 'vault.json'}"],
            self._directory,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self._directory), **trust},
            ready=lambda: self._health() is not None,
            timeout=_START_SECONDS,
            keep_log=True,
        )
        first = not self._unseal_key
        if first:
            made = self._admin("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self._unseal_key, self.root_token = made["keys"][0], made["root_token"]
        self._admin("PUT", "sys/unseal", {"key": self._unseal_key})
        # 200: unsealed and the leader of its one-node cluster.
        processes.wait_for(self._process, lambda: self._health() == 200, _START_SECONDS)
        if first:
            self._admin("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
            processes.wait_for(
                self._process, lambda: self.call("GET", "secret/config", self.root_token).status == 200, _START_SECONDS
            )

    def stop(self) -> None:
        """Kills the server; state and port stay."""
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

    def call(self, method: str, path: str, token: str = "", body: Any = None) -> Answer:
        """One request to ``/v1/PATH`` with any token. Raises OSError when it cannot be reached."""
        connection = http.client.HTTPSConnection(self._bind, self.port, timeout=30, context=self._tls)
        try:
            headers = {"X-Vault-Token": token} if token else {}
            connection.request(method, f"/v1/{path}", None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read()
            return Answer(response.status, json.loads(text) if text else {})
        finally:
            connection.close()

    def login(self, mount: str, role: str, assertion: str) -> Answer:
        """What a client does: the assertion for a token."""
        return self.call("POST", f"auth/{mount}/login", body={"role": role, "jwt": assertion})

    def apply(self, mount: str, files: Mapping[str, str]) -> None:
        """Applies rendered documents to the JWT auth method at ``mount``, which is enabled where it is not.

        ``config.json`` is the body of ``auth/MOUNT/config``, ``role-NAME.json`` of ``auth/MOUNT/role/NAME``; roles that
        are not among them are deleted. Raises VaultRefused.
        """
        mounts = self._admin("GET", "sys/auth")
        if f"{mount}/" not in mounts["data"]:
            self._admin("POST", f"sys/auth/{mount}", {"type": "jwt"})
        self._admin("POST", f"auth/{mount}/config", json.loads(files["config.json"]), "config.json")
        wanted = {name.removeprefix("role-").removesuffix(".json") for name in files if name.startswith("role-")}
        listed = self.call("LIST", f"auth/{mount}/role", self.root_token).body
        for stale in set((listed.get("data") or {}).get("keys") or ()) - wanted:
            self._admin("DELETE", f"auth/{mount}/role/{stale}")
        for name in sorted(wanted):
            file = f"role-{name}.json"
            self._admin("POST", f"auth/{mount}/role/{name}", json.loads(files[file]), file)

    def write_policy(self, name: str, document: str) -> None:
        """An ACL policy in HCL or JSON. Raises VaultRefused."""
        self._admin("PUT", f"sys/policies/acl/{name}", {"policy": document}, name)

    def write_secret(self, path: str, data: Mapping[str, str]) -> None:
        """A secret of the KV engine. Raises VaultRefused."""
        self._admin("POST", f"secret/data/{path}", {"data": dict(data)}, path)

    def read_secret(self, path: str, token: str) -> Answer:
        """A secret of the KV engine, as whoever holds the token."""
        return self.call("GET", f"secret/data/{path}", token)

    def _admin(self, method: str, path: str, body: Any = None, what: str = "") -> dict[str, Any]:
        answer = self.call(method, path, self.root_token, body)
        if answer.status >= 400:
            raise VaultRefused(f"{what or path}: {answer.status} {answer.errors}")
        return answer.body

    def _health(self) -> int | None:
        # sys/health: 501 not initialised, 503 sealed, 429 standby, 200 active.
        try:
            return self.call("GET", "sys/health").status
        except (OSError, http.client.HTTPException, ValueError):
            return None

    def _write_configuration(self, pair: tuple[Path, Path]) -> None:
        configuration = {
            "storage": {"raft": {"path": str(self._directory / "data"), "node_id": "one", "performance_multiplier": 1}},
            "listener": [
                {
                    "tcp": {
                        "address": f"{self._bind}:{self.port}",
                        "cluster_address": f"127.0.0.1:{self._ports[1]}",
                        "tls_cert_file": str(pair[0]),
                        "tls_key_file": str(pair[1]),
                    }
                }
            ],
            "api_addr": self.url,
            "cluster_addr": f"https://127.0.0.1:{self._ports[1]}",
            "disable_mlock": True,
            "log_level": "warn",
        }
        (self._directory / "data").mkdir(parents=True, exist_ok=True)
        (self._directory / "vault.json").write_text(json.dumps(configuration, indent=2))
