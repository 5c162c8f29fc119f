"""Reads what the examination of an installation needs, as far as whoever asks may read it. Writes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any, TypeVar

import aiohttp

from apostille.core import grants, selection
from apostille.core.doctor.check import Observed
from apostille.kinds import decode
from apostille.kube.client import (
    BINDINGS,
    CLUSTER_ROLES,
    CONFIG_MAPS,
    DEPLOYMENTS,
    LEASES,
    MUTATING,
    POLICIES,
    TRUSTS,
    VALIDATING,
    ApiError,
    Client,
    Object,
)
from apostille.kube.pod_observations import read
from apostille.model import names

T = TypeVar("T")

DISCOVERY, KEYS = "/.well-known/openid-configuration", "/openid/v1/jwks"
ELSEWHERE_SECONDS, MAX_DOCUMENT = 5.0, 1 << 20


async def observe(client: Client, own_namespace: str) -> Observed:
    """Raises ApiError only where the API server cannot be reached at all."""
    unread: dict[str, str] = {}
    version = await client.get("/version")
    mutating, validating, policies, trusts, bindings = await asyncio.gather(
        _listed(client, MUTATING.path(), "configurations", unread, labelSelector=names.EVERYTHING_MANAGED),
        _listed(client, VALIDATING.path(), "configurations", unread, labelSelector=names.EVERYTHING_MANAGED),
        _listed(client, POLICIES.path(), "policies", unread),
        _listed(client, TRUSTS.path(), "trusts", unread),
        _listed(client, BINDINGS.path(), "bindings", unread),
    )
    issuer, keys = await asyncio.gather(
        _got(client.get(DISCOVERY), "issuer", unread), _got(client.get(KEYS), "issuer", unread)
    )
    anchor, lease, deployments, kinds, here = await asyncio.gather(
        _got(client.get(CLUSTER_ROLES.path(names.ANCHOR)), "anchor", unread),
        _got(client.get(LEASES.path(names.CONTROLLER_LEASE, namespace=own_namespace)), "lease", unread),
        _listed(
            client, DEPLOYMENTS.path(namespace=own_namespace), "deployments", unread,
            labelSelector="app.kubernetes.io/name=apostille",
        ),
        _got(client.get(f"/apis/{names.API_VERSION}"), "kinds", unread),
        _issuer_here(str((issuer or {}).get("issuer", ""))),
    )  # fmt: skip
    generated = [{"kind": "ValidatingAdmissionPolicy", **one} for one in policies]
    heard, server_time, asked_at = await _probe(client, own_namespace, generated, unread)
    return Observed(
        own_namespace=own_namespace,
        version=str(version.get("gitVersion", "")),
        kinds_served={str(one.get("kind")) for one in (kinds or {}).get("resources") or ()}
        >= {names.TRUST_KIND, names.BINDING_KIND},
        issuer=issuer or {},
        keys=(keys or {}).get("keys") or (),
        issuer_here=here,
        anchor=anchor,
        lease=lease,
        deployments=deployments,
        configurations=[*mutating, *validating],
        policies=generated,
        heard=heard,
        server_time=server_time,
        asked_at=asked_at,
        trusts=[read(names.TRUST_KIND, decode.federation_trust, one) for one in trusts],
        bindings=[read(names.BINDING_KIND, decode.workload_binding, one) for one in bindings],
        unread=unread,
    )


async def _got(request: Awaitable[T], name: str, unread: dict[str, str]) -> T | None:
    """None where there is nothing, or where it may not be read."""
    try:
        return await request
    except ApiError as error:
        if error.code == 0:
            raise
        if error.code != 404:
            unread[name] = "forbidden" if error.code == 403 else error.message
        return None


async def _listed(client: Client, path: str, name: str, unread: dict[str, str], **parameters: str) -> list[Object]:
    found = await _got(client.list_all(path, **parameters), name, unread)
    return found[0] if found is not None else []


async def _probe(
    client: Client, own_namespace: str, policies: list[Object], unread: dict[str, str]
) -> tuple[frozenset[str], datetime | None, datetime | None]:
    """Dry runs that webhooks and policies answer with what is in force; the API server stamps them with its time."""
    generated = [one for one in policies if selection.generated(one)]
    heard: set[str] = set()
    server_time = asked_at = None
    for name in (names.PROBE, *grants.probe_names(generated)):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        began = datetime.now(UTC)
        answer = await _got(
            client.create(CONFIG_MAPS.path(namespace=own_namespace), body, dry_run=True), "heard", unread
        )
        if answer is None:
            unread.setdefault("heard", f"there is no namespace {own_namespace}")
            break
        made, warnings = answer
        # Its clock is told in whole seconds, rounded down.
        asked_at, server_time = began, datetime.fromisoformat(made["metadata"]["creationTimestamp"])
        heard |= {warning[at:] for warning in warnings if (at := warning.find("apostille:")) >= 0}
    return frozenset(heard), server_time, asked_at


async def _issuer_here(url: str) -> str | None:
    """Why the issuer's document cannot be had under its own URL from this machine; empty where it can.

    Nothing is sent but the request itself.
    """
    if not url.startswith("https://"):
        return None
    timeout = aiohttp.ClientTimeout(total=ELSEWHERE_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.get(url.rstrip("/") + DISCOVERY, allow_redirects=False) as response,
        ):
            if response.status != 200:
                return f"{DISCOVERY} answers {response.status}"
            document = json.loads(await response.content.read(MAX_DOCUMENT))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return f"not reached ({type(error).__name__})"
    except ValueError:
        return f"{DISCOVERY} is not JSON"
    found: Any = document.get("issuer") if isinstance(document, dict) else None
    return "" if found == url else f"its document names {found!r}"
