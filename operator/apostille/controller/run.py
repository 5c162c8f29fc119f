"""The controller's process: leads or waits, listens, and works its queue."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from typing import Any

from apostille.controller import events
from apostille.controller.bindings import BindingReconciler
from apostille.controller.cluster import ClusterReconciler
from apostille.controller.followers import Followers
from apostille.controller.queue import Queue
from apostille.controller.state import State
from apostille.controller.trusts import TrustReconciler
from apostille.controller.writer import StatusWriter
from apostille.core.pods import PodFacts, facts
from apostille.core.settings import ClusterSettings
from apostille.kube.client import BINDINGS, PODS, TRUSTS, ApiError, Client
from apostille.kube.connection import Connection
from apostille.kube.issuer import IssuerUnknown, discover
from apostille.kube.lease import Lease
from apostille.kube.recorder import Recorder
from apostille.kube.reflector import Key, Reflector
from apostille.model.identity import ServiceAccount
from apostille.model.names import BINDING_PLURAL, CONTROLLER_LEASE, TRUST_PLURAL
from apostille.telemetry import metrics

log = logging.getLogger(__name__)

LIST_SECONDS, ISSUER_SECONDS, RETRY_SECONDS = 60.0, 300.0, 2.0
CLUSTER = ("cluster", "", "")

Task = tuple[str, str, str]


class Controller:
    """Wires events to keys and keys to reconcilers."""

    def __init__(self, connection: Connection, client: Client, settings: ClusterSettings, service_account: str) -> None:
        self._connection, self._client, self._service_account = connection, client, service_account
        self._settings = settings
        identity = f"{socket.gethostname()}_{os.getpid()}"
        self.lease = Lease(client, settings.own_namespace, CONTROLLER_LEASE, identity)
        self._pods: Reflector[PodFacts] = Reflector(client, PODS.path(), facts, self._pod_changed)
        self.state = State(settings.own_namespace, self._pods)
        writer = StatusWriter(client, Recorder(client, identity))
        self._followers = Followers(client, self.state)
        self._cluster = ClusterReconciler(client, self.state, settings, self._followers.reconcile)
        self._trusts = TrustReconciler(client, self.state, writer)
        self._bindings = BindingReconciler(self.state, writer)
        self._queue: Queue[Task] = Queue(self._work)
        # Statuses say what is in force; before the first look at the cluster nobody knows.
        self._looked = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled; raises LeaseLost when another process must be assumed to lead."""
        await self.lease.acquire()
        metrics.LEADER.set(1)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.lease.hold())
            group.create_task(self._pods.run())
            group.create_task(self._follow_issuer())
            await self._list()
            await self._pods.synced.wait()
            group.create_task(events.follow(self._connection, self._seen))
            group.create_task(self._list_now_and_then())
            group.create_task(self._queue.run())
            self._everything()

    async def _work(self, task: Task) -> float | None:
        kind, namespace, name = task
        if kind == "cluster":
            before = self.state.in_force
            try:
                return await self._cluster.reconcile()
            finally:
                if self.state.in_force != before or not self._looked.is_set():
                    self._looked.set()
                    self._statuses()
        await self._looked.wait()
        if kind == "trust":
            return await self._trusts.reconcile(name)
        return await self._bindings.reconcile(namespace, name)

    def _seen(self, plural: str, event: str, raw: dict[str, Any]) -> None:
        metadata = raw["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        known = self.state.trusts.get(name) if plural == TRUST_PLURAL else self.state.bindings.get((namespace, name))
        if event == "DELETED":
            self.state.drop(plural, namespace, name)
        else:
            self.state.put(plural, raw)
            now = self.state.trusts.get(name) if plural == TRUST_PLURAL else self.state.bindings.get((namespace, name))
            if known is not None and now is not None and (known.spec, known.uid) == (now.spec, now.uid):
                return  # our own status, or a label
        self._queue.add(CLUSTER)
        if plural == TRUST_PLURAL:
            self._statuses()  # whatever allowed, shared or named this trust
            self._queue.add(("trust", "", name))
        else:
            self._queue.add(("binding", namespace, name))
            for binding in (known, self.state.bindings.get((namespace, name))):
                if binding is not None:
                    self._queue.add(("trust", "", binding.spec.trust_ref.name))  # type: ignore[union-attr]

    def _pod_changed(self, key: Key, before: PodFacts | None, after: PodFacts | None) -> None:
        touched: set[ServiceAccount] = {pod.account for pod in (before, after) if pod is not None}
        for binding in self.state.bindings.values():
            if touched & set(binding.service_accounts):
                self._queue.add_later(("binding", binding.namespace, binding.name), 0.2)
        audiences = {audience for pod in (before, after) if pod is not None for audience in pod.audiences}
        for trust in self.state.trusts.values():
            if trust.audience in audiences and not (before and after):
                self._queue.add_later(("trust", "", trust.name), 0.2)
                self._queue.add_later(CLUSTER, 0.2)

    def _everything(self) -> None:
        self._queue.add(CLUSTER)
        self._statuses()

    def _statuses(self) -> None:
        for name in self.state.trusts:
            self._queue.add(("trust", "", name))
        for namespace, name in self.state.bindings:
            self._queue.add(("binding", namespace, name))

    async def _list(self) -> None:
        """The periodic list: what is gone is dropped, what was missed is taken over."""
        for plural, resource in ((TRUST_PLURAL, TRUSTS), (BINDING_PLURAL, BINDINGS)):
            items, _ = await self._client.list_all(resource.path())
            present = {(item["metadata"].get("namespace", ""), item["metadata"]["name"]) for item in items}
            known = [("", n) for n in self.state.trusts] if plural == TRUST_PLURAL else list(self.state.bindings)
            for namespace, name in known:
                if (namespace, name) not in present:
                    self._seen(plural, "DELETED", {"metadata": {"namespace": namespace, "name": name}})
            for item in items:
                self._seen(plural, "LISTED", item)

    async def _list_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(LIST_SECONDS)
            try:
                await self._list()
            except ApiError as error:
                log.warning("periodic list failed", extra={"reason": str(error)})
            metrics.WATCH_SILENCE.labels("pods").set(self._pods.silence)

    async def _follow_issuer(self) -> None:
        while True:
            issuer, reason = None, ""
            try:
                issuer = await discover(self._client, self._settings.own_namespace, self._service_account)
            except IssuerUnknown as error:
                # The last known issuer stays: an outage of the API server changes no keys.
                issuer, reason = self.state.issuer, str(error)
            if self.state.set_issuer(issuer, "" if issuer else reason):
                self._everything()
            await asyncio.sleep(RETRY_SECONDS if reason else ISSUER_SECONDS)


async def run(connection: Connection, settings: ClusterSettings, service_account: str) -> None:
    """The process: until SIGTERM, then the lease is handed over. Raises what ended it otherwise."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Client(connection) as client:
        controller = Controller(connection, client, settings, service_account)
        working, stopping = asyncio.create_task(controller.run()), asyncio.create_task(stop.wait())
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await working
            await controller.lease.release()
            return
        stopping.cancel()
        working.result()
