"""Role sessions: the short-lived credentials that STS hands out."""

from __future__ import annotations

import base64
import secrets
import threading
from dataclasses import dataclass, field

from apostille_testbed.parties.aws.iam import Role


@dataclass(frozen=True)
class Session:
    """One set of temporary credentials; ``expires`` in seconds since the epoch."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(repr=False)
    expires: int
    role: str
    role_id: str
    name: str
    arn: str


class Sessions:
    """All sessions by access key; thread-safe. They outlive `stop` and `start`, as at AWS."""

    def __init__(self, account: str, partition: str) -> None:
        self._account = account
        self._partition = partition
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}

    def issue(self, role: Role, name: str, expires: int) -> Session:
        """Makes credentials for ``role`` that end at ``expires`` (seconds since the epoch)."""
        session = Session(
            # ASIA marks temporary keys (IAM "Unique identifiers").
            access_key="ASIA" + base64.b32encode(secrets.token_bytes(10)).decode(),
            secret_key=secrets.token_urlsafe(30),
            token=base64.b64encode(secrets.token_bytes(240)).decode(),
            expires=expires,
            role=role.name,
            role_id=role.role_id,
            name=name,
            arn=f"arn:{self._partition}:sts::{self._account}:assumed-role/{role.name}/{name}",
        )
        with self._lock:
            self._sessions[session.access_key] = session
        return session

    def find(self, access_key: str) -> Session | None:
        """The session with this access key, ended or not."""
        with self._lock:
            return self._sessions.get(access_key)
