"""What is in force in the API server is seen, not assumed: a dry run goes through it and comes back with digests."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from apostille.controller.state import State
from apostille.core import grants, selection
from apostille.core.desired import Desired, InForce
from apostille.kube.client import CONFIG_MAPS, ApiError, Client
from apostille.model import names
from apostille.telemetry import metrics

log = logging.getLogger(__name__)

Document = Mapping[str, Any]
Shown = TypeVar("Shown", str, frozenset[str])

# Asked often while something is on its way, which takes a second or so; then with patience; else now and then.
PAUSE, PATIENT_PAUSE, IDLE_PAUSE = 0.1, 2.0, 30.0
HASTE_SECONDS = 10.0
FRESH_SECONDS = 1.0
# What was written while nothing was heard; an API server that is found again has taken over the last of it.
MAX_REMEMBERED = 64


class Prober:
    """Keeps ``State.in_force``. What was written last is waited for, but what came before it is recognised too:

    while declarations come faster than the API server takes them over, statuses go on with what it has.
    ``changed(before, after)`` is called for every change.
    """

    def __init__(
        self, client: Client, state: State, own_namespace: str, changed: Callable[[InForce, InForce], None]
    ) -> None:
        self._client, self._state, self._changed = client, state, changed
        self._path = CONFIG_MAPS.path(namespace=own_namespace)
        # By the warnings that show them, oldest first.
        self._policies: dict[frozenset[str], Desired] = {}
        self._shards: dict[str, dict[str, Desired]] = {}
        self._seen: dict[str, Desired] = {}
        self._kinds: set[str] = set()
        self._granted: frozenset[str] = frozenset()
        self._no_room = ""
        self._names = grants.probe_names([])
        self._heard: set[str] = set()
        self._expected: frozenset[str] = frozenset()
        self._wake = asyncio.Event()
        self._asked = self._since = -HASTE_SECONDS
        self.looked = asyncio.Event()
        """Set once it is known what is in force, or that it cannot be found out for now."""

    def expect(
        self,
        policies: Sequence[Document],
        want: Desired,
        configurations: Sequence[Document],
        kinds: Document,
        no_room: str = "",
    ) -> None:
        """These have been written; ``want`` is what the policies say, ``no_room`` why that is not all."""
        self._no_room = no_room
        granted = grants.expected_warnings(policies)
        _note(self._policies, granted, want)
        # Shards that there were before are asked about too, until the process ends: they must not answer any more.
        self._names = max(self._names, grants.probe_names(policies), key=len)
        present = {str(document["metadata"]["name"]): document for document in configurations}
        for gone in set(self._shards) - set(present):
            del self._shards[gone]
            self._seen.pop(gone, None)
        for name, document in present.items():
            (shown,) = selection.expected_warnings([document])
            shard = self._shards.setdefault(name, {})
            if next(reversed(shard), None) != shown:
                _note(shard, shown, _selected(document, want))
        self._kinds = selection.expected_warnings([kinds])
        expected = granted | selection.expected_warnings(configurations) | self._kinds
        if (granted, expected) != (self._granted, self._expected):
            self._granted, self._expected, self._since = granted, expected, _now()
            self._wake.set()

    def forget(self) -> None:
        """Nothing that was written counts any more."""
        self._policies, self._shards, self._seen = {}, {}, {}
        self._kinds, self._granted, self._expected = set(), frozenset(), frozenset()
        self._take(InForce())

    def shows(self, configurations: Sequence[Document]) -> bool | None:
        """Whether the API server was last seen to use exactly these; None where it does not reach the endpoint."""
        if not self._state.in_force.reachable:
            return None
        return selection.expected_warnings(configurations) <= self._heard

    async def reachable(self) -> bool:
        """Whether the API server reaches the admission endpoint now."""
        if _now() - self._asked > FRESH_SECONDS:
            with contextlib.suppress(ApiError):
                await self._look()
        return self._state.in_force.reachable

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            pause = IDLE_PAUSE
            if self._expected:
                try:
                    heard = await self._look()
                except ApiError as error:
                    log.warning("not known what is in force", extra={"reason": str(error)})
                    pause = error.retry_after or PATIENT_PAUSE
                else:
                    waited = _now() - self._since
                    if not self._expected <= heard or self._granted != grants.warnings_of_policies(heard):
                        pause = PAUSE if waited < HASTE_SECONDS else PATIENT_PAUSE
                    if pause == IDLE_PAUSE or waited >= HASTE_SECONDS:
                        self.looked.set()
            # While something is pending a new expectation need not wake anybody.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            self._wake.clear()

    async def _look(self) -> set[str]:
        heard = set().union(*await asyncio.gather(*(self._ask(name) for name in (names.PROBE, *self._names))))
        self._asked, self._heard = _now(), heard
        self._observe(heard)
        return heard

    async def _ask(self, name: str) -> set[str]:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        _, warnings = await self._client.create(self._path, body, dry_run=True)
        # A policy's warning begins with the API server's own words.
        return {
            found for warning in warnings if (found := warning[warning.find("apostille:") :]).startswith("apostille:")
        }

    def _observe(self, heard: set[str]) -> None:
        before = self._state.in_force
        # All of them and no others: what is to go may still refuse.
        policies = _latest(self._policies, {grants.warnings_of_policies(heard)})
        for name, shard in self._shards.items():
            if (found := _latest(shard, heard)) is not None:
                self._seen[name] = found
        selected = Desired(
            bound=frozenset().union(*(seen.bound for seen in self._seen.values())),
            allowed=frozenset().union(*(seen.allowed for seen in self._seen.values())),
            selected_again=frozenset().union(*(seen.selected_again for seen in self._seen.values())),
        )
        own = {*self._kinds, *(shown for shard in self._shards.values() for shown in shard)}
        self._take(
            InForce(
                selection=before.selection if selected == before.selection else selected,
                policies=before.policies if policies is None else policies,
                reachable=bool(heard & own),
                no_room=self._no_room,
            )
        )

    def _take(self, heard: InForce) -> None:
        before, after = self._state.in_force, self._state.counted(heard)
        metrics.REACHABLE.set(int(after.reachable))
        if after != before:
            self._state.set_in_force(after)
            self._changed(before, after)


def _note(history: dict[Shown, Desired], shown: Shown, content: Desired) -> None:
    history.pop(shown, None)
    history[shown] = content
    while len(history) > MAX_REMEMBERED:
        del history[next(iter(history))]


def _selected(configuration: Document, want: Desired) -> Desired:
    bound, allowed = selection.selected(configuration)
    here = bound | allowed
    again = frozenset(one for one in want.selected_again if one[0].account in here)
    return Desired(bound=bound, allowed=allowed, selected_again=again)


def _latest(history: dict[Shown, Desired], heard: Collection[Shown]) -> Desired | None:
    """The newest that was heard; what is older will not be heard again and is forgotten."""
    found = next((shown for shown in reversed(history) if shown in heard), None)
    if found is None:
        return None
    for shown in list(history):
        if shown == found:
            break
        del history[shown]
    return history[found]


def _now() -> float:
    return asyncio.get_running_loop().time()
