"""Stands for the platform team's pipeline: applies at Vault and MinIO what Apostille rendered, and nothing else."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from apostille_testbed.client import APIError
from apostille_testbed.node.self_hosted import SelfHosted
from apostille_testbed.parties.minio.party import MinIORefused
from apostille_testbed.parties.vault.party import VaultRefused
from apostille_testbed.processes import ProcessError

MOUNT = "jwt"
_INTERVAL = 0.3


class PlatformTeam:
    """Follows the rendered documents while the ``with`` block runs; ``log`` gets a line for each change."""

    def __init__(self, servers: SelfHosted, log: Path) -> None:
        self._servers = servers
        self._log = log
        self._applied: dict[str, dict[str, str]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="platform-team", daemon=True)

    def __enter__(self) -> Self:
        self._log.touch()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        ways: Mapping[str, Callable[[dict[str, str]], str]] = {"minio": self._minio, "vault": self._vault}
        while not self._ended.wait(_INTERVAL):
            for trust, way in ways.items():
                try:
                    files = self._servers.rendered(trust)
                except (OSError, http.client.HTTPException, APIError):
                    break
                # Without documents nothing is changed: what an uninstalled Apostille leaves is theirs to remove.
                if files and files != self._applied.get(trust):
                    self._applied[trust] = files
                    try:
                        self._say(way(files))
                    except (OSError, MinIORefused, VaultRefused, ProcessError) as error:
                        self._say(f"{trust}: {error}")

    def _minio(self, files: dict[str, str]) -> str:
        self._servers.minio.apply(files)
        subjects = sorted(json.loads(files["policies.json"]))
        return f"MinIO has a policy for {' '.join(subjects) or 'nobody'}"

    def _vault(self, files: dict[str, str]) -> str:
        self._servers.vault.apply(MOUNT, files)
        roles = [json.loads(text) for name, text in sorted(files.items()) if name.startswith("role-")]
        subjects = [role["bound_subject"] or " ".join(role["bound_claims"]["sub"]) for role in roles]
        return f"Vault's {MOUNT} has a role for {' '.join(subjects) or 'nobody'}"

    def _say(self, text: str) -> None:
        with self._log.open("a") as out:
            out.write(f"{time.strftime('%H:%M:%S')} {text}\n")
