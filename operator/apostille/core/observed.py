"""Token requests that others than kubelets make, as they are noted by admission and counted by the controller."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apostille.model.identity import ServiceAccount

# A user of an audience that asks less often than this is found too late anyway.
KEPT = timedelta(days=7)
# Entries of the ConfigMap: about 250 bytes each, of the 1 MiB that there are.
MOST = 2000


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """``user`` asked for a token of ``account`` for ``audience``; ``seen`` is the day, which is all that is needed."""

    account: ServiceAccount
    audience: str
    user: str
    seen: datetime

    @property
    def key(self) -> str:
        """In the ConfigMap: the same user of the same token has one entry."""
        text = json.dumps([*self.account, self.audience, self.user])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def written(self) -> str:
        """As an entry's value."""
        return json.dumps(
            {
                "namespace": self.account.namespace,
                "serviceAccount": self.account.name,
                "audience": self.audience,
                "user": self.user,
                "seen": self.seen.strftime("%Y-%m-%d"),
            },
            ensure_ascii=False,
        )


def read(data: Mapping[str, str]) -> frozenset[TokenRequest]:
    """The entries of the ConfigMap; what is not one of ours is left out."""
    found = set()
    for text in data.values():
        try:
            entry = json.loads(text)
            account = ServiceAccount(str(entry["namespace"]), str(entry["serviceAccount"]))
            seen = datetime.strptime(entry["seen"], "%Y-%m-%d").replace(tzinfo=UTC)
            found.add(TokenRequest(account, str(entry["audience"]), str(entry["user"]), seen))
        except (ValueError, KeyError, TypeError):
            continue
    return frozenset(found)
