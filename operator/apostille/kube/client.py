"""The verbs that are used, on raw JSON, over one bounded aiohttp session."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any

import aiohttp

from apostille.kube.connection import Connection
from apostille.model import names

Object = dict[str, Any]
MAX_CONNECTIONS, CHUNK = 32, 500
TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=5)
# A request that the API server puts off (429) was not begun: it is sent again after the pause that is asked for, unless
# that is so long that the caller should decide.
RETRIES, MAX_RETRY_AFTER = 4, 5.0


class ApiError(Exception):
    """The API server's answer, when it is not a success. ``code`` is 0 when there was no answer."""

    def __init__(self, code: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(f"{code} {reason}: {message}" if code else message)
        self.code, self.reason, self.message, self.retry_after = code, reason, message, retry_after


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource's place in the API, such as ``Resource("apps/v1", "deployments", "Deployment")``."""

    api_version: str
    plural: str
    kind: str

    def path(self, name: str = "", *, namespace: str = "", subresource: str = "") -> str:
        """The URL path of a collection or an object."""
        prefix = "/api/" if "/" not in self.api_version else "/apis/"
        parts = [prefix + self.api_version]
        if namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        return "/".join(part for part in (*parts, name, subresource) if part)


TRUSTS = Resource(names.API_VERSION, names.TRUST_PLURAL, names.TRUST_KIND)
BINDINGS = Resource(names.API_VERSION, names.BINDING_PLURAL, names.BINDING_KIND)
PODS = Resource("v1", "pods", "Pod")
NAMESPACES = Resource("v1", "namespaces", "Namespace")
CONFIG_MAPS = Resource("v1", "configmaps", "ConfigMap")
SECRETS = Resource("v1", "secrets", "Secret")
SERVICE_ACCOUNTS = Resource("v1", "serviceaccounts", "ServiceAccount")
CLUSTER_ROLES = Resource("rbac.authorization.k8s.io/v1", "clusterroles", "ClusterRole")
CSI_DRIVERS = Resource("storage.k8s.io/v1", "csidrivers", "CSIDriver")
PERSISTENT_VOLUMES = Resource("v1", "persistentvolumes", "PersistentVolume")
DEPLOYMENTS = Resource("apps/v1", "deployments", "Deployment")
LEASES = Resource("coordination.k8s.io/v1", "leases", "Lease")
EVENTS = Resource("events.k8s.io/v1", "events", "Event")
CORE_EVENTS = Resource("v1", "events", "Event")
_ADMISSION = "admissionregistration.k8s.io/v1"
MUTATING = Resource(_ADMISSION, "mutatingwebhookconfigurations", "MutatingWebhookConfiguration")
VALIDATING = Resource(_ADMISSION, "validatingwebhookconfigurations", "ValidatingWebhookConfiguration")
POLICIES = Resource(_ADMISSION, "validatingadmissionpolicies", "ValidatingAdmissionPolicy")
POLICY_BINDINGS = Resource(_ADMISSION, "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding")

BY_KIND = {one.kind: one for one in (CONFIG_MAPS, MUTATING, VALIDATING, POLICIES, POLICY_BINDINGS)}
"""What the controller generates."""
_COPIED = (TRUSTS, BINDINGS, PODS, NAMESPACES, SECRETS, SERVICE_ACCOUNTS, CSI_DRIVERS, PERSISTENT_VOLUMES)
_KINDS = {one.plural: one.kind for one in (*BY_KIND.values(), *_COPIED)}


def kind_at(path: str) -> str:
    """The kind of a collection's objects; its plural where it is none of those above."""
    plural = path.rpartition("/")[2]
    return _KINDS.get(plural, plural)


class Client:
    """One session to one API server. Use as an async context manager.

    ``before_write`` is called ahead of everything that is not a read; what it raises is raised, and nothing is sent.
    """

    def __init__(self, connection: Connection, before_write: Callable[[], None] | None = None) -> None:
        self._connection, self._before_write = connection, before_write
        self._session: aiohttp.ClientSession | None = None
        self._date: tuple[datetime, float] | None = None

    def now(self) -> datetime:
        """The API server's time, as its last answer said it; this machine's before the first one."""
        if self._date is None:
            return datetime.now(UTC)
        date, heard = self._date
        return date + timedelta(seconds=time.monotonic() - heard)

    async def __aenter__(self) -> Client:
        connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS, ssl=self._connection.ssl_context())
        self._session = aiohttp.ClientSession(connector=connector, timeout=TIMEOUT, trust_env=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, parameters: Mapping[str, str] | None = None) -> Object:
        """Raises ApiError; ``code`` is 404 where there is nothing."""
        return (await self._request("GET", path, parameters=parameters))[0]

    async def text(self, path: str, parameters: Mapping[str, str] | None = None) -> str:
        """What is not JSON, such as a container's log. Raises ApiError."""
        headers = {**self._connection.headers(), "Accept": "*/*"}
        try:
            async with self._open.get(self._connection.server + path, params=parameters, headers=headers) as response:
                raw = await response.read()
                if response.status >= 400:
                    raise _error(response, raw)
                return raw.decode(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, "", f"GET {path}: {type(error).__name__}: the API server did not answer") from None

    async def list_all(self, path: str, **parameters: str) -> tuple[list[Object], str]:
        """All items of a collection in chunks, and the resourceVersion from which to watch."""
        items: list[Object] = []
        token = ""
        while True:
            query = {"limit": str(CHUNK), **parameters} | ({"continue": token} if token else {})
            page = await self.get(path, query)
            items += page.get("items") or []
            metadata = page.get("metadata") or {}
            token = metadata.get("continue", "")
            if not token:
                return items, metadata.get("resourceVersion", "")

    async def create(self, path: str, body: Mapping[str, Any], *, dry_run: bool = False) -> tuple[Object, list[str]]:
        """The created object, and the warnings that came with the answer."""
        return await self._request("POST", path, body, {"dryRun": "All"} if dry_run else None)

    async def replace(self, path: str, body: Mapping[str, Any]) -> Object:
        """PUT; raises ApiError 409 when the resourceVersion in the body is not current."""
        return (await self._request("PUT", path, body))[0]

    async def apply(self, path: str, body: Mapping[str, Any], *, manager: str) -> Object:
        """Server-side apply of objects and statuses that are ours alone, hence forced."""
        query = {"fieldManager": manager, "force": "true"}
        return (await self._request("PATCH", path, body, query, "application/apply-patch+yaml"))[0]

    async def merge(self, path: str, body: Mapping[str, Any]) -> Object:
        """A merge patch (RFC 7396)."""
        return (await self._request("PATCH", path, body, None, "application/merge-patch+json"))[0]

    async def delete(self, path: str) -> None:
        """Nothing happens where nothing is."""
        try:
            await self._request("DELETE", path)
        except ApiError as error:
            if error.code != 404:
                raise

    async def watch(
        self, path: str, resource_version: str, *, seconds: int, silence: float, **parameters: str
    ) -> AsyncIterator[Object | None]:
        """None when the server has taken it; then events until it ends the watch, or is silent for ``silence`` seconds.

        Raises ApiError, also for an ERROR event. Bookmarks are asked for; of a collection in which nothing happens they
        may still not come (kube-apiserver sends none that are older than the list, and asks etcd for no newer).
        """
        query = {
            "watch": "true",
            "resourceVersion": resource_version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(seconds),
            **parameters,
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=silence)
        try:
            async with self._open.get(
                self._connection.server + path, params=query, headers=self._connection.headers(), timeout=timeout
            ) as response:
                if response.status != 200:
                    if response.status == 401:
                        await asyncio.to_thread(self._connection.renew)
                    raise _error(response, await response.read())
                yield None
                buffer = bytearray()
                async for chunk in response.content.iter_any():
                    buffer += chunk
                    *lines, rest = bytes(buffer).split(b"\n")
                    buffer = bytearray(rest)
                    for line in lines:
                        event = json.loads(line)
                        if event.get("type") == "ERROR":
                            status = event.get("object") or {}
                            raise ApiError(status.get("code", 500), status.get("reason", ""), status.get("message", ""))
                        yield event
        except aiohttp.SocketTimeoutError:
            return
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise ApiError(0, "", f"watch of {path} broke off: {type(error).__name__}") from None

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("Client is used outside its `async with`")
        return self._session

    async def _request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | Sequence[Any] | None = None,
        parameters: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> tuple[Object, list[str]]:
        attempt = 0
        while True:
            if method != "GET" and self._before_write is not None:
                self._before_write()
            try:
                return await self._send(method, path, body, parameters, content_type)
            except ApiError as error:
                attempt += 1
                if error.code == 429 and error.retry_after is not None:
                    if attempt > RETRIES or error.retry_after > MAX_RETRY_AFTER:
                        raise
                    await asyncio.sleep(error.retry_after * random.uniform(1.0, 1.2))  # noqa: S311 - jitter
                elif error.code != 401 or attempt > 1 or not await asyncio.to_thread(self._connection.renew):
                    raise

    async def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | Sequence[Any] | None,
        parameters: Mapping[str, str] | None,
        content_type: str,
    ) -> tuple[Object, list[str]]:
        headers = {**self._connection.headers(), "Accept": "application/json, */*"}
        if body is not None:
            headers["Content-Type"] = content_type
        try:
            async with self._open.request(
                method,
                self._connection.server + path,
                params=parameters,
                data=json.dumps(body) if body is not None else None,
                headers=headers,
            ) as response:
                raw = await response.read()
                self._date = _date(response) or self._date
                if response.status >= 400:
                    raise _error(response, raw)
                try:
                    answer: Object = json.loads(raw)
                except ValueError:
                    raise ApiError(0, "", f"{method} {path}: the answer is not JSON") from None
                return answer, [_warning(text) for text in response.headers.getall("Warning", ())]
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, "", f"{method} {path}: {type(error).__name__}: the API server did not answer") from None


def _error(response: aiohttp.ClientResponse, raw: bytes) -> ApiError:
    try:
        status = json.loads(raw)
    except ValueError:
        status = None
    if not isinstance(status, dict):
        status = {"message": raw[:200].decode(errors="replace")}
    after = response.headers.get("Retry-After", "")
    return ApiError(
        response.status,
        str(status.get("reason", "")),
        str(status.get("message", "")),
        float(after) if after.isdigit() else None,
    )


def _date(response: aiohttp.ClientResponse) -> tuple[datetime, float] | None:
    try:
        date = parsedate_to_datetime(response.headers.get("Date", ""))
    except ValueError:
        return None
    return (date, time.monotonic()) if date.tzinfo is not None else None


def _warning(header: str) -> str:
    """The text of a Warning header: ``299 - "text"`` (RFC 7234 section 5.5)."""
    _, _, quoted = header.partition('"')
    return quoted.rpartition('"')[0].replace('\\"', '"').replace("\\\\", "\\")
