"""The life of one pod on the node: volumes, sandbox, containers in order, status, end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apostille_testbed.pods import environment, probes, routes, status, volumes
from apostille_testbed.pods.api import Api, ApiError, Object
from apostille_testbed.pods.container import Container, Kind, now
from apostille_testbed.pods.environment import ConfigError
from apostille_testbed.pods.events import Events
from apostille_testbed.pods.images import Image, find
from apostille_testbed.pods.sandbox import Mount, Process, Sandbox, SandboxError, Shape
from apostille_testbed.pods.slots import Slots
from apostille_testbed.pods.tokens import Tokens

log = logging.getLogger("apostille.testbed.pods")
CONFIG_REFRESH = 10.0


@dataclass(frozen=True)
class Host:
    """What the pods of one runner share."""

    api: Api
    node: str
    address: str
    directory: Path
    images: Mapping[str, Image]
    routes: Sequence[routes.Route]
    events: Events
    isolated: bool
    slots: Slots
    backoff: float


class Backoff:
    """Doubling pauses up to a minute; the first restart of a container is immediate, as the kubelet's."""

    def __init__(self, first: float) -> None:
        self._first = first
        self._tries = 0

    def restart(self) -> float:
        self._tries += 1
        return 0.0 if self._tries == 1 else self._pause(self._tries - 2)

    def retry(self) -> float:
        self._tries += 1
        return self._pause(self._tries - 1)

    def _pause(self, doubled: int) -> float:
        return min(self._first * 2.0 ** min(doubled, 16), 60.0)


class Pod:
    """One pod of the node. `run` is its whole life; `update` brings newer versions of its object."""

    def __init__(self, host: Host, pod: Object, pod_ip: str) -> None:
        self.host = host
        self.object = pod
        self.pod_ip = pod_ip
        self.uid = str(pod["metadata"]["uid"])
        self.sandbox: Sandbox | None = None
        self.finished = False
        self.directory = host.directory / "pods" / self.uid
        self.logs = host.directory / "logs" / self.uid
        spec = pod["spec"]
        self.containers = [
            Container(item, Kind.SIDECAR if item.get("restartPolicy") == "Always" else Kind.INIT, self.uid)
            for item in spec.get("initContainers", ())
        ] + [Container(item, Kind.APP, self.uid) for item in spec["containers"]]
        self.tokens = Tokens(host.api, pod)
        self.volumes = volumes.Volumes(host.api, self.directory / "volumes", self.tokens, host.address, pod_ip)
        self._forwarder = routes.Forwarder()
        self._started_at = pod.get("status", {}).get("startTime") or now()
        self._changed = asyncio.Event()
        self._ending = asyncio.Event()
        self._dirty = asyncio.Event()
        self._syncing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sent: Object = {}
        self._holds_slot = False
        self.update(pod)

    # ---------------------------------------------------------------------------------------------- from outside

    def update(self, pod: Object) -> None:
        """Takes a newer version of the object; a deletion timestamp begins the pod's end."""
        self._keep(pod)
        if pod["metadata"].get("deletionTimestamp"):
            self._ending.set()
        self._changed.set()

    async def vanish(self) -> None:
        """The object is gone (deleted by force): everything ends at once."""
        self._ending.set()
        if self.sandbox:
            await self.sandbox.close()

    def container(self, name: str) -> Container:
        """Raises KeyError for a name the pod does not have."""
        for container in self.containers:
            if container.name == name:
                return container
        raise KeyError(name)

    def log_file(self, container: Container, *, previous: bool = False) -> Path:
        return self.logs / f"{container.name}.{container.restarts - previous}.log"

    async def refresh_tokens(self) -> list[str]:
        """Asks for every token again, as a restarted kubelet does; returns the FailedMount messages."""
        self.tokens.forget()
        return await self._sync_volumes()

    def _keep(self, pod: Object) -> None:
        # The watch and the answer to a status update race; resource versions are ordered (KEP-5504).
        if int(pod["metadata"]["resourceVersion"]) >= int(self.object["metadata"]["resourceVersion"]):
            self.object = pod

    # ---------------------------------------------------------------------------------------------- life

    async def run(self) -> None:
        """Returns when the pod has ended *and* its object was deleted; cancelling ends it at once."""
        reporter = asyncio.create_task(self._report())
        try:
            life = asyncio.create_task(self._live())
            ending = asyncio.create_task(self._ending.wait())
            try:
                await asyncio.wait({life, ending}, return_when=asyncio.FIRST_COMPLETED)
                failure = life.exception() if life.done() else None
            finally:
                await _cancel(life, ending)
            if failure:
                log.error("pod %s: %s", self.object["metadata"]["name"], failure, exc_info=failure)
            await self._stop_containers()
            await self._leave()
            self.finished = True
            self._dirty.set()
            await self._ending.wait()
            await self._delete()
        finally:
            await _cancel(reporter)
            await self._leave()

    async def _leave(self) -> None:
        await _cancel(*self._tasks)
        await self._forwarder.close()
        if self.sandbox:
            await self.sandbox.close()
        if self._holds_slot:
            self._holds_slot = False
            self.host.slots.release()

    async def _live(self) -> None:
        await self.host.slots.acquire()
        self._holds_slot = True
        await self._mount()
        await self._enter()
        self._spawn(self._keep_volumes())
        never = self.object["spec"].get("restartPolicy", "Always") == "Never"
        for container in self.containers:
            if container.kind is Kind.SIDECAR:
                self._spawn(self._supervise(container, "Always"))
                await container.started.wait()
            elif container.kind is Kind.INIT:
                await self._supervise(container, "Never" if never else "OnFailure")
                if not container.succeeded:
                    return
        policy = self.object["spec"].get("restartPolicy", "Always")
        apps = [container for container in self.containers if container.kind is Kind.APP]
        for app in apps:
            app.wait_for("ContainerCreating")
        self._dirty.set()
        async with asyncio.TaskGroup() as group:
            for app in apps:
                group.create_task(self._supervise(app, policy))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (failure := task.exception()):
                log.error("pod %s: %s", self.object["metadata"]["name"], failure, exc_info=failure)

        task.add_done_callback(done)

    async def _mount(self) -> None:
        """Sets up every volume; nothing starts before all are there."""
        backoff = Backoff(min(self.host.backoff, 0.5))
        self._dirty.set()
        failures = await self._sync_volumes()
        while failures:
            await asyncio.sleep(min(backoff.retry(), 5.0))
            failures = await self._sync_volumes()

    async def _enter(self) -> None:
        meta = self.object["metadata"]
        known = routes.addresses(self.host.routes)
        shape = Shape(
            directory=self.directory,
            logs=self.logs,
            hostname=self.object["spec"].get("hostname") or meta["name"],
            hosts=routes.hosts_file(meta["name"], self.pod_ip, known),
            pod_ip=self.pod_ip,
            memory=volumes.memory(self.object),
            isolated=self.host.isolated,
            parents=[self.host.directory / "logs", self.host.directory / "pods", self.host.directory],
        )
        backoff = Backoff(self.host.backoff)
        while True:
            try:
                self.sandbox = await Sandbox.create(shape)
                break
            except SandboxError as error:
                await self.host.events.warn(self.object, "FailedCreatePodSandBox", str(error))
                await asyncio.sleep(backoff.retry())
        if self.host.isolated:
            await self._forwarder.serve(self.sandbox, self.host.routes)
        self._dirty.set()

    # ---------------------------------------------------------------------------------------------- volumes

    async def _sync_volumes(self) -> list[str]:
        async with self._syncing:
            failures = await self.volumes.sync(self.object)
        for message in failures.values():
            await self.host.events.warn(self.object, "FailedMount", message)
        return list(failures.values())

    async def _keep_volumes(self) -> None:
        backoff = Backoff(self.host.backoff)
        pause = CONFIG_REFRESH
        while True:
            until_refresh = self.tokens.next_refresh() - time.time()
            due = min(pause, until_refresh) if until_refresh > 0 else pause  # overdue: it was refused just now
            # Not wait_for: before Python 3.12 it swallows a cancellation that comes with the result.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(due):
                    await self._changed.wait()
            self._changed.clear()
            if await self._sync_volumes():
                pause = min(backoff.retry(), CONFIG_REFRESH)
            else:
                backoff, pause = Backoff(self.host.backoff), CONFIG_REFRESH

    # ---------------------------------------------------------------------------------------------- containers

    async def _supervise(self, container: Container, policy: str) -> None:
        """Runs a container until `policy` lets it rest."""
        backoff = Backoff(self.host.backoff)
        while True:
            try:
                process = await self._prepare(container)
            except ConfigError as error:
                container.wait_for("CreateContainerConfigError", str(error))
                await self._trouble("Failed", f"Error: {error}")
                await asyncio.sleep(backoff.retry())
                continue
            if process is None:
                message = f'Failed to pull image "{container.spec["image"]}": the pod runner has no such image'
                container.wait_for("ErrImagePull", message)
                await self._trouble("Failed", message)
                await asyncio.sleep(backoff.retry())
                continue
            await self._run(container, process)
            self._dirty.set()
            if policy == "Never" or (policy == "OnFailure" and container.succeeded):
                return
            if pause := backoff.restart():
                name = self.object["metadata"]["name"]
                container.wait_for("CrashLoopBackOff", f"back-off {pause:.0f}s restarting {container.name} of {name}")
                self._dirty.set()
                await asyncio.sleep(pause)
            container.restarts += 1

    async def _trouble(self, reason: str, message: str) -> None:
        self._dirty.set()
        await self.host.events.warn(self.object, reason, message)

    async def _prepare(self, container: Container) -> Process | None:
        """What to start; None without an image. Raises ConfigError."""
        image = find(self.host.images, container.spec["image"])
        if image is None:
            return None
        namespace = self.object["metadata"]["namespace"]
        objects: dict[tuple[str, str], Object | None] = {}
        for kind, name in environment.references(container.spec):
            try:
                objects[kind, name] = await self.host.api.get(f"/api/v1/namespaces/{namespace}/{kind}/{name}")
            except ApiError as error:
                if error.status != 404:
                    raise ConfigError(str(error)) from error
                objects[kind, name] = None
        services = {}
        if any("kubernetes.default.svc" in route.hosts for route in self.host.routes):
            services = {"KUBERNETES_SERVICE_HOST": "kubernetes.default.svc", "KUBERNETES_SERVICE_PORT": "443"}
        given = environment.build(self.object, container.spec, services, objects, self.host.address, self.pod_ip)
        uid, gid = environment.identity(self.object, container.spec, image)
        argv = environment.command_line(container.spec, image, given)
        mounts = [
            Mount(volumes.source_of(item, given), item["mountPath"], bool(item.get("readOnly")))
            for item in container.spec.get("volumeMounts", ())
        ]
        return Process(
            argv=argv,
            env={**image.environment(), "HOSTNAME": self.object["metadata"]["name"], **given},
            cwd=container.spec.get("workingDir") or image.working_dir,
            mounts=mounts,
            uid=uid,
            gid=gid,
            read_only_root=bool((container.spec.get("securityContext") or {}).get("readOnlyRootFilesystem")),
            output=self.log_file(container),
        )

    async def _run(self, container: Container, process: Process) -> None:
        """Starts the container and waits for its end. Its probes run beside it."""
        assert self.sandbox is not None
        try:
            pid = await self.sandbox.start(process)
        except SandboxError as error:
            container.process = process
            container.end(128, "StartError", str(error))
            await self._trouble("Failed", f"Error: {error}")
            return
        container.run(pid, process)
        self._dirty.set()

        async def kill(which: str, why: str) -> None:
            await self._trouble("Unhealthy", f"{which} probe failed: {why}")
            await self._terminate(container, self._grace())

        watching = asyncio.create_task(probes.watch(self.sandbox, container, self.pod_ip, self._dirty.set, kill))
        try:
            code = await self.sandbox.wait(pid)
        finally:
            await _cancel(watching)
        container.end(code)

    def _grace(self) -> float:
        meta, spec = self.object["metadata"], self.object["spec"]
        given = meta.get("deletionGracePeriodSeconds", spec.get("terminationGracePeriodSeconds", 30))
        return float(given)

    async def _terminate(self, container: Container, grace: float) -> None:
        """preStop, SIGTERM, and SIGKILL when `grace` seconds have passed; returns when the process is gone."""
        pid, sandbox = container.pid, self.sandbox
        if pid is None or sandbox is None or container.process is None:
            return
        with contextlib.suppress(SandboxError, TimeoutError):
            async with asyncio.timeout(grace):
                hook = (container.spec.get("lifecycle") or {}).get("preStop") or {}
                if "exec" in hook:
                    await sandbox.execute(pid, hook["exec"]["command"], container.process, grace)
                elif "sleep" in hook:
                    await asyncio.sleep(hook["sleep"]["seconds"])
                await sandbox.signal(pid, 15)
                await sandbox.wait(pid)
        with contextlib.suppress(SandboxError):
            await sandbox.signal(pid, 9)
        code = await sandbox.wait(pid)
        if container.pid == pid:
            container.end(code)
        self._dirty.set()

    async def _stop_containers(self) -> None:
        """Ends what still runs: the containers together, then the sidecars, last started first."""
        deadline = time.monotonic() + self._grace()
        await _cancel(*self._tasks)
        plain = [container for container in self.containers if container.kind is not Kind.SIDECAR]
        await asyncio.gather(*(self._terminate(container, deadline - time.monotonic()) for container in plain))
        for container in reversed(self.containers):
            if container.kind is Kind.SIDECAR:
                # The kubelet leaves a sidecar two seconds even when the containers used the grace period up.
                await self._terminate(container, max(deadline - time.monotonic(), 2.0))

    # ---------------------------------------------------------------------------------------------- status

    def status(self) -> Object:
        sandboxed = self.sandbox is not None and not self.finished
        ips = self.host.address, self.pod_ip
        return status.status(self.object, self.containers, self.finished, sandboxed, *ips, self._started_at)

    async def _report(self) -> None:
        backoff = Backoff(0.2)
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._send()
                backoff = Backoff(0.2)
            except ApiError as error:
                if error.status == 404:
                    continue
                log.info("status of %s: %s", self.object["metadata"]["name"], error)
                self._dirty.set()
                await asyncio.sleep(min(backoff.retry(), 5.0))

    async def _send(self) -> None:
        told = self.status()
        if told != self._sent:
            body = {"metadata": {"uid": self.uid}, "status": told}
            self._keep(await self.host.api.patch(f"{self._path()}/status", body))
            self._sent = told

    async def _delete(self) -> None:
        """Tells the last status, then removes the object, as the kubelet does when all has ended."""
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": self.uid}}
        while True:
            try:
                await self._send()
                await self.host.api.call("DELETE", self._path(), body)
            except ApiError as error:
                if error.status not in (404, 409):
                    log.info("deleting %s: %s", self.object["metadata"]["name"], error)
                    await asyncio.sleep(1.0)
                    continue
            return

    def _path(self) -> str:
        meta = self.object["metadata"]
        return f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"


async def _cancel(*tasks: asyncio.Task[None] | asyncio.Task[bool]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
