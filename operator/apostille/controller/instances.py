"""Which instance of a service account there is: its UID, for trusts that pin instances."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from apostille.kube.client import SERVICE_ACCOUNTS, Client
from apostille.kube.reflector import Key, Reflector
from apostille.model.identity import ServiceAccount


class Instances:
    """UIDs of all service accounts. Nothing is read before the first trust asks.

    ``changed`` is called with a service account that came, went or is another one now; ``listed`` once all are known.
    """

    def __init__(self, client: Client, changed: Callable[[ServiceAccount], None], listed: Callable[[], None]) -> None:
        self._changed = changed
        self._copy: Reflector[str] = Reflector(
            client, SERVICE_ACCOUNTS.path(), _uid, self._account_changed, listed=listed
        )
        self._wanted = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
        await self._wanted.wait()
        await self._copy.run()

    def uids(self, accounts: Iterable[ServiceAccount]) -> Mapping[ServiceAccount, str] | None:
        """Of those that exist; None while they are not known yet."""
        self._wanted.set()
        if not self._copy.synced.is_set():
            return None
        return {account: uid for account in accounts if (uid := self._copy.get(*account)) is not None}

    def _account_changed(self, key: Key, before: str | None, after: str | None) -> None:
        if self._copy.synced.is_set():
            self._changed(ServiceAccount(*key))


def _uid(raw: dict[str, Any]) -> str | None:
    # One that is going is not the one that will be there.
    metadata = raw["metadata"]
    return None if metadata.get("deletionTimestamp") else str(metadata["uid"])
