"""One container of a pod: its state, told as core/v1 ContainerStatus."""

from __future__ import annotations

import asyncio
import datetime
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from apostille_testbed.pods.sandbox import Process

Object = dict[str, Any]


class Kind(Enum):
    """Init containers run one after the other to their end; a sidecar is one with `restartPolicy: Always`."""

    INIT = "init"
    SIDECAR = "sidecar"
    APP = "app"


def now() -> str:
    """The present as metav1.Time (RFC 3339, seconds, UTC)."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Container:
    """`pid` is the first process inside the pod while it runs; `process` what it was last started with."""

    spec: Object
    kind: Kind
    identity: str
    state: Object = field(default_factory=lambda: {"waiting": {"reason": "PodInitializing"}})
    last_state: Object = field(default_factory=dict)
    restarts: int = 0
    pid: int | None = None
    process: Process | None = None
    ready: bool = False
    started: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def terminated(self) -> Object | None:
        found: Object | None = self.state.get("terminated")
        return found

    @property
    def succeeded(self) -> bool:
        return self.terminated is not None and self.terminated["exitCode"] == 0

    def wait_for(self, reason: str, message: str = "") -> None:
        """It is not running, for a reason that will be tried again."""
        if self.terminated:
            self.last_state = self.state
        self.state = {"waiting": {"reason": reason, **({"message": message} if message else {})}}

    def run(self, pid: int, process: Process) -> None:
        if self.terminated:
            self.last_state = self.state
        self.pid, self.process = pid, process
        self.state = {"running": {"startedAt": now()}}

    def end(self, code: int, reason: str = "", message: str = "") -> None:
        """Records the end: `code` is the exit code, or minus the signal (which a runtime reports as 128 plus it)."""
        started = self.state.get("running", {}).get("startedAt", now())
        self.pid, self.ready = None, False
        self.started.clear()
        code = 128 - code if code < 0 else code
        told = {"exitCode": code, "reason": reason or ("Error" if code else "Completed")}
        times = {"startedAt": started, "finishedAt": now()}
        self.state = {"terminated": told | times | ({"message": message} if message else {})}

    def status(self) -> Object:
        """The ContainerStatus."""
        ready = self.succeeded if self.kind is Kind.INIT else self.ready
        return {
            "name": self.name,
            "image": self.spec["image"],
            "imageID": "host",
            "containerID": f"apostille-testbed://{self.identity}-{self.restarts}" if self.process else "",
            "ready": ready,
            "started": self.started.is_set(),
            "restartCount": self.restarts,
            "state": self.state,
            "lastState": self.last_state,
        }
