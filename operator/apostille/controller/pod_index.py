"""Pods by what is asked of them: by service account, and by audience where Apostille did not inject them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypeVar

from apostille.core.pods import PodFacts
from apostille.kube.reflector import Key
from apostille.model.identity import ServiceAccount

At = TypeVar("At", ServiceAccount, str, Key)

_NONE: dict[Key, PodFacts] = {}


class PodIndex:
    """Fed with every change of a pod; a question costs as much as its answer is long."""

    def __init__(self) -> None:
        self._of: dict[ServiceAccount, dict[Key, PodFacts]] = {}
        self._carriers: dict[ServiceAccount, dict[Key, PodFacts]] = {}
        self._users: dict[str, dict[Key, PodFacts]] = {}
        self._mounting: dict[Key, dict[Key, PodFacts]] = {}
        self.foreign_version = 0
        """Changes whenever the answer of ``users`` does, for any audience."""

    def changed(self, key: Key, before: PodFacts | None, after: PodFacts | None) -> None:
        """As a Reflector tells it."""
        users = _uses(before), _uses(after)
        if before is not None:
            _drop(self._of, before.account, key)
            _drop(self._carriers, before.account, key)
            for audience in users[0]:
                _drop(self._users, audience, key)
            for volume in _volumes(before):
                _drop(self._mounting, volume, key)
        if after is not None:
            self._of.setdefault(after.account, {})[key] = after
            if after.plan:
                self._carriers.setdefault(after.account, {})[key] = after
            for audience in users[1]:
                self._users.setdefault(audience, {})[key] = after
            for volume in _volumes(after):
                self._mounting.setdefault(volume, {})[key] = after
        if users[0] != users[1] or _volumes(before) != _volumes(after):
            self.foreign_version += 1

    def of(self, account: ServiceAccount) -> Collection[PodFacts]:
        """Pods that run as a service account."""
        return self._of.get(account, _NONE).values()

    def carriers(self, account: ServiceAccount) -> Collection[PodFacts]:
        """Of these, the ones that carry a plan."""
        return self._carriers.get(account, _NONE).values()

    def carrying(self) -> Iterable[ServiceAccount]:
        """Service accounts with pods that carry a plan."""
        return list(self._carriers)

    def users(self, audience: str) -> Collection[PodFacts]:
        """Pods that project a token for an audience and carry no plan."""
        return self._users.get(audience, _NONE).values()

    def with_driver(self, driver: str) -> Collection[PodFacts]:
        """Pods with an inline volume of a CSI driver."""
        return self._mounting.get(("", driver), _NONE).values()

    def with_claim(self, namespace: str, claim: str) -> Collection[PodFacts]:
        """Pods that mount a persistent volume claim."""
        return self._mounting.get((namespace, claim), _NONE).values()


def _volumes(pod: PodFacts | None) -> list[Key]:
    """Under an empty namespace drivers, else claims."""
    if pod is None:
        return []
    return [*(("", driver) for driver in pod.drivers), *((pod.namespace, claim) for claim in pod.claims)]


def _uses(pod: PodFacts | None) -> tuple[str, ...]:
    return pod.audiences if pod is not None and not pod.plan else ()


def _drop(index: dict[At, dict[Key, PodFacts]], at: At, key: Key) -> None:
    held = index.get(at)
    if held is not None and held.pop(key, None) is not None and not held:
        del index[at]
