"""Reads what an explanation of a pod needs, as far as whoever asks may read it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from apostille.core.explain.answer import TRUSTS as TRUSTS_READ
from apostille.core.explain.answer import Observed
from apostille.kinds import decode
from apostille.kinds.decode import Unreadable
from apostille.kube.client import BINDINGS, CORE_EVENTS, PODS, TRUSTS, ApiError, Client
from apostille.model import names

T = TypeVar("T")

# The kubelet repeats a mount that fails every two minutes at the least.
RECENT = timedelta(minutes=5)
LOG_LINES = 200


async def observe(client: Client, namespace: str, pod: str, own_namespace: str) -> Observed:
    """Raises ApiError where pod or bindings cannot be read: nothing could be said without them."""
    raw = await client.get(PODS.path(pod, namespace=namespace))
    bindings, _ = await client.list_all(BINDINGS.path(namespace=namespace))
    unread: dict[str, str] = {}
    trusts, events, log = await asyncio.gather(
        _trusts(client, bindings, unread),
        _events(client, namespace, pod, unread),
        _log(client, namespace, raw, unread),
    )
    return Observed(
        pod=raw,
        bindings=[read(names.BINDING_KIND, decode.workload_binding, one) for one in bindings],
        trusts=[read(names.TRUST_KIND, decode.federation_trust, one) for one in trusts],
        events=events,
        exchange_log=log,
        own_namespace=own_namespace,
        created={one["metadata"]["name"]: one["metadata"].get("creationTimestamp", "") for one in bindings},
        unread=unread,
    )


def read(kind: str, decoder: Callable[[Mapping[str, Any]], T], raw: Mapping[str, Any]) -> T | Unreadable:
    """Decodes; what does not fit its schema is kept with the reason."""
    try:
        return decoder(raw)
    except decode.InvalidObject as error:
        return Unreadable(kind, raw, str(error))


async def _trusts(client: Client, bindings: list[dict[str, Any]], unread: dict[str, str]) -> list[dict[str, Any]]:
    try:
        return (await client.list_all(TRUSTS.path()))[0]
    except ApiError as error:
        if error.code not in (401, 403):
            raise
        unread[TRUSTS_READ] = "forbidden" if error.code == 403 else error.message
    # Rights may be given by name.
    found = []
    for name in sorted({str(((one.get("spec") or {}).get("trustRef") or {}).get("name", "")) for one in bindings}):
        try:
            found.append(await client.get(TRUSTS.path(name)))
        except ApiError as error:
            if error.code not in (401, 403, 404):
                raise
    return found


async def _events(client: Client, namespace: str, pod: str, unread: dict[str, str]) -> list[dict[str, Any]]:
    selector = f"involvedObject.kind=Pod,involvedObject.name={pod}"
    try:
        found, _ = await client.list_all(CORE_EVENTS.path(namespace=namespace), fieldSelector=selector)
    except ApiError as error:
        unread["Events"] = _why(error)
        return []
    since = (datetime.now(UTC) - RECENT).strftime("%Y-%m-%dT%H:%M:%SZ")
    timed = sorted((_at(event), number) for number, event in enumerate(found))
    return [found[number] for at, number in timed if at >= since]


def _at(event: Mapping[str, Any]) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or "")


async def _log(client: Client, namespace: str, pod: Mapping[str, Any], unread: dict[str, str]) -> str:
    ours = [
        str(container["name"])
        for container in (pod.get("spec") or {}).get("initContainers") or ()
        if container.get("name") in names.OUR_CONTAINERS
    ]
    if not ours:
        return ""
    path = PODS.path(pod["metadata"]["name"], namespace=namespace, subresource="log")
    try:
        return await client.text(path, {"container": ours[0], "tailLines": str(LOG_LINES)})
    except ApiError as error:
        unread[f"the log of {ours[0]}"] = _why(error)
        return ""


def _why(error: ApiError) -> str:
    return "forbidden" if error.code == 403 else error.message
