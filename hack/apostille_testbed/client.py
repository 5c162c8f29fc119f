"""The few API-server calls that the testbed makes itself, without a kubectl process each."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
import weakref
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_KEPT = 4
"""Connections that are kept for the next readers."""


class APIError(RuntimeError):
    """The API server refused a request."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        """The HTTP status code."""
        self.reason = reason
        """The ``reason`` of the Kubernetes Status, such as ``AlreadyExists``."""


class Client:
    """Speaks to one API server on this machine; safe for threads.

    Reads go over connections that are kept: tests poll, and a handshake costs both sides more than the answer.
    """

    def __init__(self, port: int, ca: Path, pair: tuple[Path, Path] | None = None, address: str = "127.0.0.1") -> None:
        self._address, self._port = address, port
        self._idle: deque[http.client.HTTPSConnection] = deque()
        weakref.finalize(self, _close, self._idle)
        self.url = f"https://{address}:{port}"
        self._context = ssl.create_default_context(cafile=str(ca))
        if pair is not None:
            self._context.load_cert_chain(*map(str, pair))

    def request(self, method: str, path: str, body: Any = None, timeout: float = 30.0) -> Any:
        """Sends ``body`` as JSON, which for PATCH is a merge patch; returns the decoded reply, text as it is.

        Raises:
            APIError: the server refused.
            OSError: it cannot be reached, or did not answer in ``timeout`` seconds.
        """
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        text, _ = self._send(method, path, body, kind, timeout)
        return _decoded(text)

    def text(self, path: str) -> str:
        """The reply to a GET as it is, such as a log. Raises as `request` does."""
        return self._send("GET", path)[0]

    def apply(self, document: Mapping[str, Any]) -> list[str]:
        """Server-side apply of an object, which may be there or not; returns the server's warnings.

        Raises as `request` does.
        """
        path = path_of(document) + "?fieldManager=testbed&force=true"
        return self._send("PATCH", path, document, "application/apply-patch+yaml")[1]

    def _send(
        self, method: str, path: str, body: Any = None, kind: str = "application/json", timeout: float = 30.0
    ) -> tuple[str, list[str]]:
        """Text and warnings."""
        # The key set has a media type of its own, and is not given to who asks for JSON alone.
        headers = {"Accept": "application/json, */*;q=0.1", "Content-Type": kind}
        content = None if body is None else json.dumps(body)
        # Only what may be asked twice is asked over a connection that the server may have given up meanwhile.
        if method == "GET" and (kept := self._kept()) is not None:
            try:
                return self._answer(kept, timeout, method, path, content, headers)
            except (ConnectionError, http.client.BadStatusLine, ssl.SSLEOFError):
                _close(self._idle)
        return self._answer(self._connection(timeout), timeout, method, path, content, headers)

    def _answer(self, connection: http.client.HTTPSConnection, timeout: float, *request: Any) -> tuple[str, list[str]]:
        try:
            if connection.sock is not None:
                connection.sock.settimeout(timeout)
            connection.request(*request)
            response = connection.getresponse()
            text = response.read().decode()
        except BaseException:
            connection.close()
            raise
        if response.will_close or len(self._idle) >= _KEPT:
            connection.close()
        else:
            self._idle.append(connection)
        if response.status >= 400:
            reply = _decoded(text)
            status = reply if isinstance(reply, dict) else {"message": text}
            raise APIError(response.status, status.get("reason", response.reason), status.get("message", ""))
        return text, response.headers.get_all("Warning", [])

    def _connection(self, timeout: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._address, self._port, context=self._context, timeout=timeout)

    def _kept(self) -> http.client.HTTPSConnection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def ensure(self, path: str, body: Any) -> None:
        """Creates an object; one of that name may be there already. Raises as `request` does."""
        try:
            self.request("POST", path, body)
        except APIError as error:
            if error.reason != "AlreadyExists":
                raise

    def ready(self) -> bool:
        """Whether the server says it is ready."""
        try:
            return bool(self.request("GET", "/readyz", timeout=5) == "ok")
        except (OSError, APIError, http.client.HTTPException):
            return False


def path_of(document: Mapping[str, Any]) -> str:
    """Where an object is, by its kind, whose plural is regular."""
    version, metadata = document["apiVersion"], document["metadata"]
    group = f"/api/{version}" if version == "v1" else f"/apis/{version}"
    namespace = f"/namespaces/{metadata['namespace']}" if "namespace" in metadata else ""
    plural = re.sub(r"(?<![aeiou])ys$", "ies", f"{document['kind'].lower()}s")
    return f"{group}{namespace}/{plural}/{metadata['name']}"


def _close(connections: deque[http.client.HTTPSConnection]) -> None:
    with contextlib.suppress(IndexError):
        while True:
            connections.pop().close()


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
