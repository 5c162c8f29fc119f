"""Stands for the platform team's pipeline: applies at AWS what Apostille rendered, and nothing else."""

from __future__ import annotations

import http.client
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from apostille_testbed.client import APIError, Client
from apostille_testbed.installation import NAMESPACE
from apostille_testbed.parties.aws import AWSParty, IAMError

_RENDERED = "apostille-access-"
_INTERVAL = 0.3


class Pipeline:
    """Follows the rendered ConfigMaps while the ``with`` block runs; ``log`` gets a line for all that AWS does."""

    def __init__(self, client: Client, aws: AWSParty, log: Path) -> None:
        self._client = client
        self._aws = aws
        self._log = log
        self._applied: dict[str, dict[str, str]] = {}
        self._told = 0
        self._reachable = True
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="pipeline", daemon=True)

    def __enter__(self) -> Self:
        self._log.touch()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def turn(self) -> None:
        """Applies what changed since the last turn, and notes what AWS was asked meanwhile."""
        try:
            rendered = self._rendered()
        except (OSError, http.client.HTTPException, APIError) as error:
            if self._reachable:
                self._say(f"the rendered documents cannot be read: {type(error).__name__}")
            self._reachable = False
            return
        self._reachable = True
        for name in sorted(self._applied.keys() | rendered.keys()):
            files = rendered.get(name, {})
            if files != self._applied.get(name, {}):
                self._applied[name] = files
                try:
                    known = self._aws.iam.load_files(files, source=name)
                except IAMError as error:
                    self._say(f"IAM refused {name}: {error}")
                else:
                    held = ", ".join(file.removesuffix(".json") for file in known)
                    self._say(f"IAM now holds {held or 'nothing'}")
        for exchange in self._aws.exchanges[self._told :]:
            self._told += 1
            role = exchange.role.rpartition(":")[2]
            audience = " ".join(exchange.audience)
            self._say(f"AssumeRoleWithWebIdentity {exchange.code} {role}")
            self._say(f"  sub {exchange.subject}  aud {audience}{'  ' + exchange.detail if exchange.detail else ''}")

    def _work(self) -> None:
        while not self._ended.wait(_INTERVAL):
            self.turn()

    def _rendered(self) -> dict[str, dict[str, str]]:
        found = self._client.request("GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps", timeout=5)
        maps = {item["metadata"]["name"]: item.get("data") or {} for item in found["items"]}
        return {name: files for name, files in maps.items() if name.startswith(_RENDERED)}

    def _say(self, text: str) -> None:
        with self._log.open("a") as out:
            out.write(f"{time.strftime('%H:%M:%S')} {text}\n")
