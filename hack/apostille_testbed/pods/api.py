"""The few API-server calls a kubelet makes, over the certificates of a kubeconfig."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import yaml

log = logging.getLogger("apostille.testbed.pods")

Object = dict[str, Any]
MERGE_PATCH = "application/merge-patch+json"


class ApiError(Exception):
    """The API server's refusal: HTTP `status`, its `reason` (metav1.Status) and message; status 0 when unreachable."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


def _pem(entry: Mapping[str, Any], name: str, base: Path) -> str | None:
    if data := entry.get(f"{name}-data"):
        return base64.b64decode(data).decode()
    if path := entry.get(name):
        return (base / str(path)).read_text()
    return None


def _context(kubeconfig: Path) -> tuple[str, ssl.SSLContext, dict[str, str]]:
    """Server address, TLS context and headers of the current context. Raises KeyError for a file without them."""
    config = yaml.safe_load(kubeconfig.read_text())
    named = {kind: {item["name"]: item for item in config[kind]} for kind in ("clusters", "users", "contexts")}
    context = named["contexts"][config["current-context"]]["context"]
    cluster = named["clusters"][context["cluster"]]["cluster"]
    user = named["users"][context["user"]].get("user") or {}
    trust = ssl.create_default_context(cadata=_pem(cluster, "certificate-authority", kubeconfig.parent))
    certificate = _pem(user, "client-certificate", kubeconfig.parent)
    key = _pem(user, "client-key", kubeconfig.parent)
    if certificate and key:
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:  # the ssl module reads keys from files only
            file.write(certificate + "\n" + key)
            file.flush()
            trust.load_cert_chain(file.name)
    headers = {"Authorization": f"Bearer {user['token']}"} if user.get("token") else {}
    return cluster["server"].rstrip("/"), trust, headers


class Api:
    """A client for one identity. Use `async with`."""

    def __init__(self, kubeconfig: Path) -> None:
        self.url, self._tls, self._headers = _context(kubeconfig)

    async def __aenter__(self) -> Api:
        # No cookie jar and no environment: the kubeconfig alone says where to go.
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=64)
        self._session = aiohttp.ClientSession(connector=connector, headers=self._headers, trust_env=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await asyncio.sleep(0)  # aiohttp closes its TLS transports one turn later

    async def call(
        self,
        method: str,
        path: str,
        body: Object | None = None,
        params: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """One request. Raises ApiError; the message never holds the request's or a successful response's body."""
        try:
            async with self._session.request(
                method,
                self.url + path,
                params=params,
                data=None if body is None else json.dumps(body),
                headers={"Content-Type": content_type},
                timeout=aiohttp.ClientTimeout(total=20),
            ) as response:
                text = await response.text()
                if response.status < 400:
                    parsed: Object = json.loads(text)
                    return parsed
                raise _error(response.status, text)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ApiError(0, "Unreachable", f"{type(error).__name__} from the API server") from error

    async def get(self, path: str, **params: str) -> Object:
        return await self.call("GET", path, params=params)

    async def patch(self, path: str, body: Object) -> Object:
        return await self.call("PATCH", path, body, content_type=MERGE_PATCH)

    async def follow(self, path: str, field_selector: str) -> AsyncIterator[list[Object] | Object]:
        """Lists, then watches, for ever: yields a list after each (re)list and one watch event after each change.

        Every failure — an expired resource version, a server that restarts — leads to a fresh list.
        """
        pause = 0.1
        while True:
            try:
                listed = await self.get(path, fieldSelector=field_selector)
                yield listed["items"]
                pause = 0.1
                version = listed["metadata"]["resourceVersion"]
                async for event in self._watch(path, field_selector, version):
                    if event["type"] in ("ADDED", "MODIFIED", "DELETED"):
                        yield event
                    elif event["type"] == "ERROR":
                        break
            except (ApiError, aiohttp.ClientError, TimeoutError) as error:
                log.info("watch of %s: %s; listing again", path, error)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)

    async def _watch(self, path: str, field_selector: str, version: str) -> AsyncIterator[Object]:
        params = {"fieldSelector": field_selector, "watch": "1", "resourceVersion": version, "timeoutSeconds": "240"}
        timeout = aiohttp.ClientTimeout(total=None, sock_read=300)
        async with self._session.get(self.url + path, params=params, timeout=timeout) as response:
            if response.status >= 400:
                raise _error(response.status, await response.text())
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)


def _error(status: int, text: str) -> ApiError:
    with contextlib.suppress(ValueError):
        told = json.loads(text)
        if isinstance(told, dict):
            return ApiError(status, str(told.get("reason", "")), str(told.get("message", "")))
    return ApiError(status, "", text[:300])
