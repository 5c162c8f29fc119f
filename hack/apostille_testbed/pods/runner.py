"""The pod runner: what a scheduler and a kubelet do, with local processes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from apostille_testbed import leftovers
from apostille_testbed.cache import cache_folder
from apostille_testbed.pods import node
from apostille_testbed.pods.api import Api, ApiError, Object
from apostille_testbed.pods.events import Events
from apostille_testbed.pods.images import DEFAULT_IMAGES, Image
from apostille_testbed.pods.kubelet import serve_logs
from apostille_testbed.pods.pod import Host, Pod
from apostille_testbed.pods.routes import Route
from apostille_testbed.pods.sandbox import Isolation, decide, detect
from apostille_testbed.pods.slots import Free, OneOnTheMachine

log = logging.getLogger("apostille.testbed.pods")
T = TypeVar("T")
ADDRESS = "127.0.0.1"


def condition(name: str) -> Callable[[Object | None], bool]:
    """The test for a name: "deleted", a phase ("Running", "Succeeded", "Failed") or a condition type ("Ready")."""
    if name == "deleted":
        return lambda pod: pod is None

    def holds(pod: Object | None) -> bool:
        if pod is None:
            return False
        told = pod.get("status", {})
        if told.get("phase") == name:
            return True
        return any(item["type"] == name and item["status"] == "True" for item in told.get("conditions", ()))

    return holds


class PodRunner:
    """One node. A context manager; its methods may be called from any thread between `start` and `stop`.

    `kubeconfig` schedules (admin), `node_kubeconfig` is `system:node:<name>` in `system:nodes` and does all the
    kubelet's work, so that the Node authorizer and NodeRestriction apply. `namespaces` limits what is scheduled.
    `isolation=False` forces the mode without namespaces; None finds out. `backoff` is the first pause before a
    container is started again, in seconds (a kubelet's is 10). `serving` is the certificate and key that the API
    server is shown when it fetches logs; None: a self-signed one.
    """

    def __init__(
        self,
        kubeconfig: Path,
        node_kubeconfig: Path,
        directory: Path,
        name: str = "testbed",
        images: Mapping[str, Image] = DEFAULT_IMAGES,
        routes: Sequence[Route] = (),
        namespaces: Collection[str] | None = None,
        isolation: bool | None = None,
        backoff: float = 1.0,
        serving: tuple[Path, Path] | None = None,
    ) -> None:
        self.name = name
        self.isolation: Isolation | None = None
        """What the machine allows; known once it is started."""
        self._files = (kubeconfig, node_kubeconfig)
        self._directory = directory
        self._images = images
        self._routes = list(routes)
        self._namespaces = namespaces
        self._wanted = isolation
        self._backoff = backoff
        self._serving = serving
        self._pods: dict[str, tuple[Pod, asyncio.Task[None]]] = {}
        self._count = 0

    # ---------------------------------------------------------------------------------------------- for callers

    def __enter__(self) -> PodRunner:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when the node is registered and its pods are followed. Raises ApiError where that fails."""
        started = threading.Event()
        self._failure: BaseException | None = None

        def work() -> None:
            try:
                asyncio.run(self._main(started))
            except BaseException as error:  # told to whoever waits in start or stop
                self._failure = error
            finally:
                started.set()

        self._thread = threading.Thread(target=work, name="pod-runner", daemon=True)
        self._thread.start()
        started.wait()
        if self._failure:
            raise self._failure

    def stop(self) -> None:
        """Ends every pod at once and removes the node and its pods from the API server, where that still answers."""
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the loop ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._failure:
            raise self._failure

    def add_routes(self, *routes: Route) -> None:
        """Pods that start from now on reach these too; a route for the same host and port replaces the older."""
        self._routes.extend(routes)

    def logs(self, namespace: str, pod: str, container: str, *, previous: bool = False) -> str:
        """What the container's current (or last) process wrote; `previous`: the one before it.

        Raises KeyError for a pod that is not here.
        """
        path = self._log_file(namespace, pod, container, previous)
        return path.read_text(errors="replace") if path.exists() else ""

    def execute(
        self, namespace: str, pod: str, container: str, argv: Sequence[str], timeout: float = 20
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program in a running container, as `kubectl exec`.

        Raises KeyError for a pod that is not here, SandboxError when it cannot start, TimeoutError (seconds).
        """

        async def work() -> subprocess.CompletedProcess[str]:
            found = self._pod(namespace, pod)
            inside = found.container(container)
            if found.sandbox is None or inside.pid is None or inside.process is None:
                raise KeyError(f"container {container} of {namespace}/{pod} is not running")
            return await found.sandbox.execute(inside.pid, argv, inside.process, timeout)

        return self._do(work())

    exec = execute

    def connect(self, namespace: str, pod: str, port: int) -> socket.socket:
        """A connected, blocking TCP socket to a port of the pod, as `kubectl port-forward`. Raises OSError."""

        async def work() -> socket.socket:
            found = self._pod(namespace, pod)
            if found.sandbox is None:
                raise ConnectionError(f"{namespace}/{pod} is not running")
            return await found.sandbox.dial()

        made = self._do(work())
        made.setblocking(True)
        try:
            made.connect(("127.0.0.1", port))
        except OSError:
            made.close()
            raise
        return made

    def refresh_tokens(self, namespace: str, pod: str) -> list[str]:
        """What a restart of the kubelet does: asks for the pod's tokens again.

        Returns the FailedMount messages, which were also written as Events; where a token is refused, the old file
        stays.
        """

        async def work() -> list[str]:
            return await self._pod(namespace, pod).refresh_tokens()

        return self._do(work())

    def wait(
        self, namespace: str, pod: str, until: str | Callable[[Object | None], bool], timeout: float = 30
    ) -> Object | None:
        """Waits until the pod's object (None: there is none) fulfils `until`; returns it.

        Raises TimeoutError after `timeout` seconds, with what the containers are waiting for.
        """
        holds = condition(until) if isinstance(until, str) else until
        deadline = time.monotonic() + timeout
        found: Object | None = None
        while True:
            try:
                found = self._do(self._admin.get(f"/api/v1/namespaces/{namespace}/pods/{pod}"))
            except ApiError as error:
                if error.status == 404:
                    found = None
                elif error.status != 0:
                    raise
            if holds(found):
                return found
            if time.monotonic() > deadline:
                told = (found or {}).get("status", {"phase": "(no such pod)"})
                states = {
                    item["name"]: item["state"]
                    for item in [*told.get("initContainerStatuses", ()), *told.get("containerStatuses", ())]
                }
                raise TimeoutError(f"pod {namespace}/{pod} is not {until}: {told.get('phase')}, {states}")
            time.sleep(0.05)

    # ---------------------------------------------------------------------------------------------- inside

    def _pod(self, namespace: str, name: str) -> Pod:
        for pod, _ in list(self._pods.values()):
            meta = pod.object["metadata"]
            if (meta["namespace"], meta["name"]) == (namespace, name):
                return pod
        raise KeyError(f"{namespace}/{name}")

    def _log_file(self, namespace: str, pod: str, container: str, previous: bool) -> Path:
        found = self._pod(namespace, pod)
        return found.log_file(found.container(container), previous=previous)

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _main(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._clear()
        self._directory.mkdir(parents=True, exist_ok=True)
        self.isolation = decide("switched off") if self._wanted is False else await detect()
        log.warning(self.isolation.message) if not self.isolation.namespaces else log.info(self.isolation.message)
        async with Api(self._files[0]) as self._admin, Api(self._files[1]) as api:
            logs = await serve_logs(ADDRESS, self._log_file, self._serving)
            await node.register(api, self.name, ADDRESS, logs.port, self.isolation.message)
            self._host = Host(
                api=api,
                node=self.name,
                address=ADDRESS,
                directory=self._directory,
                images=self._images,
                routes=self._routes,
                events=Events(api, self.name),
                isolated=self.isolation.namespaces,
                slots=Free() if self.isolation.namespaces else OneOnTheMachine(cache_folder() / "pods.lock"),
                backoff=self._backoff,
            )
            ready = asyncio.Event()
            work = [
                asyncio.create_task(node.heartbeat(api, self.name)),
                asyncio.create_task(self._schedule()),
                asyncio.create_task(self._follow(ready)),
            ]
            stopping = asyncio.create_task(self._stop.wait())
            synced = asyncio.create_task(ready.wait())
            synced.add_done_callback(lambda _: started.set())
            try:
                done, _ = await asyncio.wait([*work, stopping], return_when=asyncio.FIRST_COMPLETED)
                for task in done - {stopping}:
                    await task  # these never end but by an error of ours
            finally:
                for task in [*work, stopping, synced, *(task for _, task in self._pods.values())]:
                    task.cancel()
                tasks = [*work, stopping, synced, *(task for _, task in self._pods.values())]
                await asyncio.gather(*tasks, return_exceptions=True)
                await logs.close()
                await self._sign_off()
                self._clear()

    def _clear(self) -> None:
        leftovers.clear(self._directory)
        for name in ("pods", "logs"):
            shutil.rmtree(self._directory / name, ignore_errors=True)

    async def _sign_off(self) -> None:
        with contextlib.suppress(ApiError):
            await self._admin.call("DELETE", f"/api/v1/nodes/{self.name}")
            for pod, _ in self._pods.values():
                meta = pod.object["metadata"]
                body = {"gracePeriodSeconds": 0, "preconditions": {"uid": meta["uid"]}}
                with contextlib.suppress(ApiError):
                    path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
                    await self._admin.call("DELETE", path, body)

    @staticmethod
    async def _changes(source: AsyncIterator[list[Object] | Object]) -> AsyncIterator[tuple[str, list[Object]]]:
        async for item in source:
            if isinstance(item, list):
                yield "LIST", item
            else:
                yield item["type"], [item["object"]]

    async def _schedule(self) -> None:
        """Binds every pod without a node to this one."""
        async for kind, pods in self._changes(self._admin.follow("/api/v1/pods", "spec.nodeName=")):
            for pod in pods if kind != "DELETED" else ():
                meta = pod["metadata"]
                allowed = self._namespaces is None or meta["namespace"] in self._namespaces
                if not allowed or pod["spec"].get("schedulingGates") or meta.get("deletionTimestamp"):
                    continue
                body = {
                    "metadata": {"name": meta["name"], "uid": meta["uid"]},
                    "target": {"apiVersion": "v1", "kind": "Node", "name": self.name},
                }
                try:
                    path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/binding"
                    await self._admin.call("POST", path, body)
                except ApiError as error:
                    log.info("binding %s/%s: %s", meta["namespace"], meta["name"], error)

    async def _follow(self, ready: asyncio.Event) -> None:
        """Runs every pod that is bound to this node."""
        selector = f"spec.nodeName={self.name}"
        async for kind, pods in self._changes(self._host.api.follow("/api/v1/pods", selector)):
            for pod in pods:
                if kind == "DELETED":
                    await self._forget(pod["metadata"]["uid"])
                else:
                    self._take(pod)
            if kind == "LIST":
                present = {pod["metadata"]["uid"] for pod in pods}
                for uid in set(self._pods) - present:
                    await self._forget(uid)
            ready.set()

    def _take(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        if uid in self._pods:
            self._pods[uid][0].update(pod)
        elif pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            self._count += 1
            made = Pod(self._host, pod, f"10.244.{self._count // 250 % 250}.{self._count % 250 + 2}")
            self._pods[uid] = (made, asyncio.create_task(made.run()))

    async def _forget(self, uid: str) -> None:
        if uid not in self._pods:
            return
        pod, task = self._pods.pop(uid)
        await pod.vanish()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        shutil.rmtree(pod.directory, ignore_errors=True)
        shutil.rmtree(pod.logs, ignore_errors=True)
