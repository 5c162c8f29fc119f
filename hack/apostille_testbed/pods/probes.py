"""Startup, readiness and liveness probes (core/v1 Probe: exec, httpGet, tcpSocket)."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from apostille_testbed.pods.container import Container
from apostille_testbed.pods.sandbox import Sandbox, SandboxError

Object = dict[str, Any]


def port_of(container: Object, port: int | str) -> int:
    """A probe's port; a name is looked up in the container's ports. Raises ValueError for an unknown name."""
    if isinstance(port, int):
        return port
    for item in container.get("ports", ()):
        if item.get("name") == port:
            return int(item["containerPort"])
    raise ValueError(f"container has no port {port!r}")


async def once(sandbox: Sandbox, container: Container, probe: Object, pod_ip: str) -> str | None:
    """One try: None on success, else what went wrong."""
    limit = float(probe.get("timeoutSeconds", 1))
    try:
        async with asyncio.timeout(limit):
            if "exec" in probe:
                assert container.pid is not None
                assert container.process is not None
                command = probe["exec"]["command"]
                done = await sandbox.execute(container.pid, command, container.process, limit)
                return None if done.returncode == 0 else f"exit code {done.returncode}"
            if "httpGet" in probe:
                return await _http(sandbox, container.spec, probe["httpGet"], pod_ip)
            if "tcpSocket" in probe:
                wanted = probe["tcpSocket"]
                address = wanted.get("host") or pod_ip
                async with _connect(sandbox, address, port_of(container.spec, wanted["port"]), None):
                    return None
            return "this kind of probe is not served by the pod runner"
    except (OSError, ValueError, SandboxError) as error:  # TimeoutError is an OSError
        return str(error) or type(error).__name__


@contextlib.asynccontextmanager
async def _connect(
    sandbox: Sandbox, address: str, port: int, tls: ssl.SSLContext | None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    connection = await sandbox.dial()
    try:
        await asyncio.get_running_loop().sock_connect(connection, (address, port))
        reader, writer = await asyncio.open_connection(
            sock=connection, ssl=tls, server_hostname=address if tls else None
        )
    except BaseException:
        connection.close()
        raise
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _http(sandbox: Sandbox, container: Object, wanted: Object, pod_ip: str) -> str | None:
    tls = None
    if wanted.get("scheme") == "HTTPS":
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE  # as the kubelet: a probe does not authenticate
    address, port = wanted.get("host") or pod_ip, port_of(container, wanted["port"])
    headers = {"Host": f"{address}:{port}", "User-Agent": "kube-probe/1.37", "Connection": "close"}
    headers |= {item["name"]: item["value"] for item in wanted.get("httpHeaders", ())}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    async with _connect(sandbox, address, port, tls) as (reader, writer):
        writer.write(f"GET {wanted.get('path', '/')} HTTP/1.1\r\n{head}\r\n".encode())
        words = (await reader.readline()).split()
    if len(words) < 2 or not words[1].isdigit():
        return "no HTTP response"
    return None if 200 <= int(words[1]) < 400 else f"HTTP probe failed with statuscode: {int(words[1])}"


async def watch(
    sandbox: Sandbox,
    container: Container,
    pod_ip: str,
    changed: Callable[[], None],
    kill: Callable[[str, str], Awaitable[None]],
) -> None:
    """Runs a container's probes for as long as it runs; cancelled when it ends.

    `changed` is called after each change of started or ready; `kill(which, why)` when a startup or liveness probe
    has failed for good.
    """
    spec = container.spec
    if (startup := spec.get("startupProbe")) is not None:
        async for good, why in _outcomes(sandbox, container, startup, pod_ip):
            if good:
                break
            if good is False:
                await kill("Startup", why)
                return
    container.started.set()
    container.ready = "readinessProbe" not in spec
    changed()
    async with asyncio.TaskGroup() as group:
        if "readinessProbe" in spec:
            group.create_task(_readiness(sandbox, container, pod_ip, changed))
        if "livenessProbe" in spec:
            group.create_task(_liveness(sandbox, container, pod_ip, kill))


async def _readiness(sandbox: Sandbox, container: Container, pod_ip: str, changed: Callable[[], None]) -> None:
    async for good, _ in _outcomes(sandbox, container, container.spec["readinessProbe"], pod_ip):
        if good is not None and good != container.ready:
            container.ready = good
            changed()


async def _liveness(
    sandbox: Sandbox, container: Container, pod_ip: str, kill: Callable[[str, str], Awaitable[None]]
) -> None:
    async for good, why in _outcomes(sandbox, container, container.spec["livenessProbe"], pod_ip):
        if good is False:
            await kill("Liveness", why)
            return


async def _outcomes(
    sandbox: Sandbox, container: Container, probe: Object, pod_ip: str
) -> AsyncIterator[tuple[bool | None, str]]:
    """After each try: True or False once a threshold is reached, None below it; and the last failure."""
    await asyncio.sleep(probe.get("initialDelaySeconds", 0))
    run = 0
    while True:
        why = await once(sandbox, container, probe, pod_ip)
        run = (run + 1 if run > 0 else 1) if why is None else (run - 1 if run < 0 else -1)
        if run >= probe.get("successThreshold", 1):
            yield True, ""
        elif -run >= probe.get("failureThreshold", 3):
            yield False, why or ""
        else:
            yield None, why or ""
        await asyncio.sleep(probe.get("periodSeconds", 10))
