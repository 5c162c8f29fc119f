"""A real Vault on loopback, configured over its API by the documents that were rendered for it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apostille_testbed import processes
from apostille_testbed.parties.server import START_SECONDS, RealServer


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


class VaultParty(RealServer):
    """One Vault server with its own storage and root token; KV version 2 is mounted at ``secret``."""

    name = "vault"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._cluster = self.further_port()
        self._write_configuration()
        self._unseal_key = ""
        self.root_token = ""
        """Its administrator's token."""

    def command(self) -> Sequence[str | Path]:
        """The server with its configuration file."""
        return [self.program, "server", f"-config={self.directory / 'vault.json'}"]

    def environment(self) -> Mapping[str, str]:
        """The authority of the issuers' site."""
        return {"SSL_CERT_FILE": str(self.site.ca)} if self.site else {}

    def ready(self) -> bool:
        """Whether it answers, in any state."""
        return self._health() is not None

    def started(self) -> None:
        """Unseals it; the first time it is initialised."""
        first = not self._unseal_key
        if first:
            made = self._admin("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
            self._unseal_key, self.root_token = made["keys"][0], made["root_token"]
        self._admin("PUT", "sys/unseal", {"key": self._unseal_key})
        # 200: unsealed and the leader of its one-node cluster.
        processes.wait_for(self.process, lambda: self._health() == 200, START_SECONDS)
        if first:
            self._admin("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
            processes.wait_for(
                self.process, lambda: self.call("GET", "secret/config", self.root_token).status == 200, START_SECONDS
            )

    def call(self, method: str, path: str, token: str = "", body: Any = None) -> Answer:
        """One request to ``/v1/PATH`` with any token. Raises OSError when it cannot be reached."""
        headers = {"X-Vault-Token": token} if token else {}
        reply = self.request(method, f"/v1/{path}", None if body is None else json.dumps(body), headers)
        return Answer(reply.status, json.loads(reply.body) if reply.body else {})

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

    def _write_configuration(self) -> None:
        configuration = {
            "storage": {"raft": {"path": str(self.directory / "data"), "node_id": "one", "performance_multiplier": 1}},
            "listener": [
                {
                    "tcp": {
                        "address": f"{self.bind}:{self.port}",
                        "cluster_address": f"127.0.0.1:{self._cluster}",
                        "tls_cert_file": str(self.certificate),
                        "tls_key_file": str(self.key),
                    }
                }
            ],
            "api_addr": self.url,
            "cluster_addr": f"https://127.0.0.1:{self._cluster}",
            "disable_mlock": True,
            "log_level": "warn",
        }
        (self.directory / "data").mkdir(parents=True, exist_ok=True)
        (self.directory / "vault.json").write_text(json.dumps(configuration, indent=2))
