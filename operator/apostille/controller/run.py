"""The controller's process: leads or waits, listens, and works its queues."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import uuid
from collections.abc import Callable
from typing import Any

from apostille.controller.bindings import BindingReconciler
from apostille.controller.certificates import Certificates
from apostille.controller.cluster import AnchorGone, ClusterReconciler
from apostille.controller.csi import claimed, requested
from apostille.controller.declared import Declared
from apostille.controller.followers import Followers
from apostille.controller.generated import Generated
from apostille.controller.instances import Instances
from apostille.controller.observed import noted
from apostille.controller.prober import Prober
from apostille.controller.queue import Queue
from apostille.controller.repair import PAUSE, Repairs
from apostille.controller.state import State, View
from apostille.controller.trusts import CONFIG_MAP, TrustReconciler
from apostille.controller.writer import StatusWriter
from apostille.core.desired import InForce
from apostille.core.judge import allowed_pairs
from apostille.core.observed import TokenRequest
from apostille.core.pods import PodFacts, facts
from apostille.core.settings import CertificateSettings, ClusterSettings
from apostille.core.tightening import Tightening, tightening
from apostille.kinds.status import RepairStatus
from apostille.kube.client import (
    BINDINGS,
    CONFIG_MAPS,
    CSI_DRIVERS,
    NAMESPACES,
    PERSISTENT_VOLUMES,
    PODS,
    SERVICE_ACCOUNTS,
    TRUSTS,
    Client,
)
from apostille.kube.connection import Connection
from apostille.kube.issuer import IssuerUnknown, discover
from apostille.kube.lease import Lease, LeaseLost
from apostille.kube.recorder import Recorder
from apostille.kube.reflector import Key, Reflector
from apostille.model.identity import ServiceAccount
from apostille.model.names import (
    ACCESS_PREFIX,
    AUDIENCES,
    BINDING_PLURAL,
    CONTROLLER_LEASE,
    OBSERVED_LABEL,
    TRUST_PLURAL,
)
from apostille.telemetry import health, metrics
from apostille.telemetry.logging import about

log = logging.getLogger(__name__)

# Keys of an issuer change with a restart of the API server, which is noticed; behind a balancer it may not be.
ISSUER_SECONDS, RETRY_SECONDS = 60.0, 2.0
ANCHOR_SECONDS = 5.0
# Pods come in crowds: what one of them changes is looked at once for all of a moment.
POD_SECONDS = 0.2
# Bookmarks come every minute: a copy that heard nothing for this long is dead. Be restarted.
MAX_SILENCE = 300.0

CLUSTER, CERTIFICATES = "cluster", "certificates"
Task = tuple[str, str, str]


class Controller:
    """Wires events to keys and keys to reconcilers.

    Four queues, so that none waits for another: the cluster objects, which is what security rests on; running pods;
    statuses; pods that are made anew.
    """

    def __init__(
        self,
        connection: Connection,
        client: Client,
        lease: Lease,
        settings: ClusterSettings,
        certificate: CertificateSettings | None,
        service_account: str,
    ) -> None:
        self._client, self._lease, self._service_account = client, lease, service_account
        self._own_namespace, self._ca_bundle = settings.own_namespace, settings.ca_bundle
        self.state = State(settings.own_namespace, settings.addresses, settings.modes)
        self._pods: Reflector[PodFacts] = Reflector(
            client, PODS.path(), facts, self._pod_changed, listed=self._found_again
        )
        csi = self.state.csi
        self._namespaces: Reflector[Tightening] = Reflector(
            client, NAMESPACES.path(), tightening, self._namespace_changed
        )
        self._drivers: Reflector[tuple[str, ...]] = Reflector(
            client, CSI_DRIVERS.path(), requested, lambda key, _, now: self._users_changed(csi.set_driver, key[1], now)
        )
        self._volumes: Reflector[tuple[str, Key]] = Reflector(
            client,
            PERSISTENT_VOLUMES.path(),
            claimed,
            lambda key, _, now: self._users_changed(csi.set_volume, key[1], now),
        )
        self._observed: Reflector[frozenset[TokenRequest]] = Reflector(
            client,
            CONFIG_MAPS.path(namespace=settings.own_namespace),
            noted,
            lambda _, before, now: self._users_changed(lambda _, now: self.state.observed.take(now), "", now),
            selector=OBSERVED_LABEL,
        )
        self._copies = (self._pods, self._namespaces, self._drivers, self._volumes, self._observed)
        self._declared = Declared(connection, client, self.state, self._declared_changed, self._declared_touched)
        self._generated = Generated(client, settings.own_namespace, self._generated_changed)
        self._prober = Prober(client, self.state, settings.own_namespace, self._in_force_changed)
        recorder = Recorder(client, lease.identity)
        self._writer = StatusWriter(client, recorder)
        self._followers = Followers(client, self.state)
        self._certificates: Certificates | None = None
        if certificate is not None:
            self._certificates = Certificates(
                client,
                self._generated,
                self._prober,
                settings.own_namespace,
                certificate,
                self._certificates_changed,
                lambda: self._cluster_queue.add(CLUSTER),
            )
        self._cluster = ClusterReconciler(
            client, self._generated, self._prober, self.state, settings, self._tell_followers, self._bundle
        )
        self._instances = Instances(client, self._instance_changed, self._instances_listed)
        self._trusts = TrustReconciler(self._generated, self.state, self._writer, self._instances)
        self._bindings = BindingReconciler(self.state, self._writer, self._repair)
        self._repairs = Repairs(
            client,
            self.state,
            recorder,
            self._bindings.to_repair,
            lambda key: self._status_queue.add(("binding", *key)),
        )
        self._cluster_queue: Queue[str] = Queue(self._reconcile_cluster, workers=1)
        self._pod_queue: Queue[Task] = Queue(self._reconcile_pods, named=self._named)
        self._status_queue: Queue[Task] = Queue(self._reconcile_status, workers=8, named=self._named)
        # By one worker: evictions are one after the other, whatever wants them.
        self._repair_queue: Queue[Task] = Queue(self._reconcile_repair, workers=1, named=self._named)
        self._judged = self.state.view()
        self._installed = True
        self._working = False
        self._issuer_tried, self._issuer_due = asyncio.Event(), asyncio.Event()

    async def run(self) -> None:
        """Until cancelled; raises LeaseLost when another process must be assumed to lead."""
        await self._lease.acquire()
        metrics.LEADER.set(1)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._lease.hold())
            for copy in self._copies:
                group.create_task(copy.run())
            group.create_task(self._generated.run())
            group.create_task(self._follow_issuer())
            group.create_task(self._declared.run())
            if self._certificates is not None:
                group.create_task(self._certificates.run())
            # Nothing is decided before everything is known: a half of it looks like the other half's end.
            await self._declared.listed.wait()
            for copy in self._copies:
                await copy.synced.wait()
            await self._generated.synced()
            await self._issuer_tried.wait()
            self._working = True
            group.create_task(self._cluster_queue.run())
            group.create_task(self._pod_queue.run())
            group.create_task(self._prober.run())
            group.create_task(self._status_queue.run())
            group.create_task(self._repair_queue.run())
            group.create_task(self._instances.run())
            self._everything()

    def alive(self) -> str:
        """What is wrong, where a restart may help."""
        if not self._lease.held:
            silence = asyncio.get_running_loop().time() - self._lease.heard
        else:
            silence = max(copy.silence for copy in (*self._copies, self._generated, self._declared))
        return f"nothing heard from the API server for {silence:.0f} seconds" if silence > MAX_SILENCE else ""

    def ready(self) -> str:
        """What is still waited for, by the one that leads; the others are ready to."""
        if not self._lease.held:
            return "" if self._lease.seen else "waiting for the lease"
        return "" if self._prober.looked.is_set() else "waiting for the first look at the cluster"

    def measure(self) -> None:
        """Sets the gauges that nobody keeps."""
        metrics.LEADER.set(int(self._lease.held))
        waiting = len(self._cluster_queue) + len(self._pod_queue) + len(self._status_queue) + len(self._repair_queue)
        metrics.QUEUE_DEPTH.set(waiting)
        # Who waits to lead listens to the lease only.
        metrics.WATCH_SILENCE.clear()
        metrics.WATCH_SILENCE.labels("lease").set(asyncio.get_running_loop().time() - self._lease.heard)
        if self._lease.held:
            metrics.WATCH_SILENCE.labels("pods").set(self._pods.silence)
            metrics.WATCH_SILENCE.labels("generated").set(self._generated.silence)
            metrics.WATCH_SILENCE.labels("declared").set(self._declared.silence)
        self._writer.measure()

    # Keys to reconcilers.

    async def _reconcile_cluster(self, key: str) -> float | None:
        if key == CERTIFICATES:
            return await self._reconcile_certificates()
        view = self.state.view()
        if view is not self._judged:
            before, self._judged = self._judged, view
            self._view_changed(before, view)
        try:
            wait = await self._cluster.reconcile()
        except AnchorGone as gone:
            if self._installed:
                log.warning("nothing is written any more", extra={"reason": str(gone)})
            self._installed = False
            self._prober.forget()
            return ANCHOR_SECONDS
        if not self._installed:
            log.info("installed again")
            self._installed = True
            self._statuses()
        self._certificates_changed()
        return wait

    async def _reconcile_certificates(self) -> float | None:
        # By the worker that writes webhook configurations: between what is decided here and done nothing changes them.
        if self._certificates is None:
            return None
        try:
            return await self._certificates.advance(await self._cluster.anchor())
        except AnchorGone:
            return ANCHOR_SECONDS

    async def _reconcile_pods(self, task: Task) -> None:
        if self._installed:
            await self._followers.reconcile(ServiceAccount(task[1], task[2]))

    async def _reconcile_status(self, task: Task) -> None:
        # Statuses say what is in force; before the first look at the cluster nobody knows.
        await self._prober.looked.wait()
        if not self._installed:
            return
        kind, namespace, name = task
        if kind == "trust":
            await self._trusts.reconcile(name)
        else:
            await self._bindings.reconcile(namespace, name)

    async def _reconcile_repair(self, task: Task) -> float | None:
        return await self._repairs.reconcile(task[1], task[2]) if self._installed else None

    def _repair(self, key: Key, due: bool) -> RepairStatus | None:
        if not due:
            self._repairs.forget(key)
            return None
        self._repair_queue.add_later(("repair", *key), PAUSE)
        return self._repairs.report(key)

    def _named(self, task: Task) -> dict[str, dict[str, str]]:
        kind, namespace, name = task
        if kind == "pods":
            return about(SERVICE_ACCOUNTS.kind, name, namespace)
        of_trust = kind == "trust"
        known = self.state.known(TRUST_PLURAL if of_trust else BINDING_PLURAL, namespace, name)
        uid = known.uid if known is not None else ""
        return about((TRUSTS if of_trust else BINDINGS).kind, name, namespace, uid)

    # Events to keys.

    def _everything(self) -> None:
        self._certificates_changed()
        self._cluster_queue.add(CLUSTER)
        self._statuses()
        for trust in self._trusts.rendered():
            self._status_queue.add(("trust", "", trust))

    def _statuses(self) -> None:
        for name in self.state.trusts:
            self._status_queue.add(("trust", "", name))
        for namespace, name in self.state.bindings:
            self._status_queue.add(("binding", namespace, name))

    def _declared_changed(self, plural: str, namespace: str, name: str) -> None:
        self._cluster_queue.add(CLUSTER)  # which looks what else follows from it
        self._status_queue.add(("trust" if plural == TRUST_PLURAL else "binding", namespace, name))

    def _declared_touched(self, plural: str, raw: dict[str, Any]) -> None:
        metadata = raw["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        of_trust = plural == TRUST_PLURAL
        path = (TRUSTS if of_trust else BINDINGS).path(name, namespace=namespace, subresource="status")
        if self._writer.differs(path, raw):
            self._status_queue.add(("trust" if of_trust else "binding", namespace, name))

    def _view_changed(self, before: View, after: View) -> None:
        """Statuses of whatever is judged differently now, and of what speaks of it."""
        trusts: set[str] = set()
        for key in before.bindings.keys() | after.bindings.keys():
            old, new = before.bindings.get(key), after.bindings.get(key)
            if old != new:
                self._status_queue.add(("binding", *key))
                trusts |= {one.binding.spec.trust_ref.name for one in (old, new) if one is not None}
        audiences = set()
        for name in before.world.trusts.keys() | after.world.trusts.keys():
            was, now = before.world.trusts.get(name), after.world.trusts.get(name)
            if was != now:
                trusts.add(name)
                audiences |= {one.trust.audience for one in (was, now) if one is not None}
        trusts |= {name for name, one in after.world.trusts.items() if one.trust.audience in audiences}
        for name in trusts:
            self._status_queue.add(("trust", "", name))

    def _in_force_changed(self, before: InForce, after: InForce) -> None:
        """Statuses of whoever is concerned by what has come into force."""
        if before.reachable != after.reachable:
            self._everything()
            return
        accounts = (
            (before.selection.bound ^ after.selection.bound)
            | (before.selection.allowed ^ after.selection.allowed)
            | {grant.account for grant in before.policies.grants ^ after.policies.grants}
        )
        audiences = {
            protection.audience for protection in {*before.policies.protections} ^ {*after.policies.protections}
        }
        named = {name for name, trust in self.state.trusts.items() if trust.audience in audiences}
        for name, trust in self.state.trusts.items():
            if name in named or not accounts.isdisjoint(allowed_pairs(trust)):
                self._status_queue.add(("trust", "", name))
        for key, binding in self.state.bindings.items():
            if binding.spec.trust_ref.name in named or not accounts.isdisjoint(binding.service_accounts):
                self._status_queue.add(("binding", *key))

    def _namespace_changed(self, key: Key, before: Tightening | None, after: Tightening | None) -> None:
        self.state.set_tightened(key[1], after)
        if self._working:
            self._cluster_queue.add(CLUSTER)

    def _users_changed(self, take: Callable[[str, Any], object], name: str, now: Any) -> None:
        """Of audiences, other than by pods that project tokens: rare, so that every trust is looked at."""
        before = (self.state.csi.version, self.state.observed.version)
        take(name, now)
        if self._working and before != (self.state.csi.version, self.state.observed.version):
            self._cluster_queue.add_later(CLUSTER, POD_SECONDS)
            for trust in self.state.trusts:
                self._status_queue.add_later(("trust", "", trust), POD_SECONDS)

    def _generated_changed(self, kind: str, name: str) -> None:
        if not self._working:
            return
        if kind != CONFIG_MAP or name == AUDIENCES:
            self._cluster_queue.add(CLUSTER)
        elif name.startswith(ACCESS_PREFIX):
            self._status_queue.add(("trust", "", name.removeprefix(ACCESS_PREFIX)))

    def _certificates_changed(self) -> None:
        if self._working and self._certificates is not None:
            self._cluster_queue.add(CERTIFICATES)

    def _bundle(self) -> str:
        return self._ca_bundle if self._certificates is None else self._certificates.bundle

    def _pod_changed(self, key: Key, before: PodFacts | None, after: PodFacts | None) -> None:
        foreign = self.state.pods.foreign_version
        self.state.pods.changed(key, before, after)
        if not self._working:
            return
        pods = [pod for pod in (before, after) if pod is not None]
        for account in {pod.account for pod in pods}:
            for namespace, name in self._judged.naming.get(account, ()):
                self._status_queue.add_later(("binding", namespace, name), POD_SECONDS)
        if after is not None and after.plan:
            self._pod_queue.add_later(("pods", after.account.namespace, after.account.name), POD_SECONDS)
        if foreign != self.state.pods.foreign_version:
            audiences = {audience for pod in pods for audience in pod.audiences}
            audiences |= {audience for pod in pods for audience in self.state.csi.audiences_of(pod)}
            for trust in self.state.trusts.values():
                if trust.audience in audiences:
                    self._status_queue.add_later(("trust", "", trust.name), POD_SECONDS)
                    self._cluster_queue.add_later(CLUSTER, POD_SECONDS)

    def _instances_listed(self) -> None:
        for name, trust in self.state.trusts.items():
            if trust.party.pins_instances(trust.view.settings):
                self._status_queue.add(("trust", "", name))

    def _instance_changed(self, account: ServiceAccount) -> None:
        for key in self._judged.naming.get(account, ()):
            binding = self._judged.bindings[key].binding
            trust = self.state.trusts.get(binding.spec.trust_ref.name)
            if trust is not None and trust.party.pins_instances(trust.view.settings):
                self._status_queue.add(("trust", "", trust.name))

    def _tell_followers(self) -> None:
        for account in self._followers.behind():
            self._pod_queue.add(("pods", account.namespace, account.name))

    def _found_again(self) -> None:
        self._issuer_due.set()  # it may have been restarted with other keys

    async def _follow_issuer(self) -> None:
        while True:
            self._issuer_due.clear()
            issuer, reason = None, ""
            try:
                issuer = await discover(self._client, self._own_namespace, self._service_account)
            except IssuerUnknown as error:
                # The last known issuer stays: an outage of the API server changes no keys.
                issuer, reason = self.state.issuer, str(error)
            if self.state.set_issuer(issuer, "" if issuer else reason) and self._working:
                self._everything()
            self._issuer_tried.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS if reason else ISSUER_SECONDS):
                    await self._issuer_due.wait()


async def run(
    connection: Connection,
    settings: ClusterSettings,
    service_account: str,
    *,
    certificate: CertificateSettings | None = None,
    identity: str = "",
    metrics_host: str = "::",
    metrics_port: int = 8080,
) -> int:
    """The process: until SIGTERM, then the lease is handed over. Returns its exit code; raises what is a mistake.

    ``certificate``: it is kept by this process; otherwise ``settings.ca_bundle`` is trusted.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # The lease is renewed over connections of its own: it must not queue behind the work.
    async with Client(connection) as own:
        identity = identity or f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
        lease = Lease(own, settings.own_namespace, CONTROLLER_LEASE, identity)
        async with Client(connection, before_write=lease.check) as client:
            controller = Controller(connection, client, lease, settings, certificate, service_account)
            try:
                server = await health.serve(
                    metrics_host, metrics_port, controller.alive, controller.ready, controller.measure
                )
            except OSError as taken:
                where = f"{metrics_host} port {metrics_port}"
                raise ConnectionError(f"cannot listen on {where}: {taken.strerror}; see --metrics-port") from None
            working, stopping = asyncio.create_task(controller.run()), asyncio.create_task(stop.wait())
            await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
            told_to_stop = not working.done()
            # First the lease, so that the next one starts at once: nothing is written without it.
            await lease.release()
            stopping.cancel()
            working.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([working])
            await server.cleanup()
            if working.cancelled():
                return 0
            error = working.exception()
            if isinstance(error, BaseExceptionGroup) and error.subgroup(LeaseLost) is not None:
                if told_to_stop:  # whoever writes or renews while the lease is given back learns of it so
                    return 0
                log.error("stopping", extra={"reason": str(error.exceptions[0])})
                return 1
            if error is not None:
                raise error
    return 0
