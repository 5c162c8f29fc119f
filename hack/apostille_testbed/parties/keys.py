"""An issuer's verification keys, read as relying parties do: discovery first, then its key set, then a cache."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 5.0  # seconds; STS gives up on slower key servers (cloud-trust §3.3)
_SIZE = 1 << 20  # bytes of one document; a key set of 200 keys has a tenth of it

# Members that OpenID Connect Discovery 1.0 §3 requires and that a key-only issuer has too (cloud-trust §3.5).
_REQUIRED = ("response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported")


@dataclass(frozen=True)
class Address:
    """Where an issuer is really served, in place of public DNS: an https URL and the PEM file of its CA."""

    url: str
    ca: Path


@dataclass
class _Cached:
    lock: threading.Lock = field(default_factory=threading.Lock)
    keys: tuple[Mapping[str, Any], ...] = ()
    fetched: float | None = None


class NoKey(Exception):
    """There is no key with this kid; its cause says why the keys could not be read, where that is so."""


class _Unreachable(Exception):
    pass


class KeySource:
    """Finds keys by issuer and kid; thread-safe. Keys of one issuer never verify tokens of another.

    ``cooldown``: seconds between two fetches for unknown kids; ``max_age``: seconds after which keys are read again,
    so that a withdrawn key ends. Both go by ``clock`` (seconds since the epoch).
    """

    def __init__(self, clock: Callable[[], float], cooldown: float, max_age: float) -> None:
        self._clock = clock
        self._cooldown = cooldown
        self._max_age = max_age
        self._addresses: dict[str, Address] = {}
        self._cache: dict[str, _Cached] = {}

    def resolve(self, issuer: str, address: Address) -> None:
        """Says where ``issuer`` is served from now on, and forgets its keys."""
        self._addresses[issuer] = address
        self._cache[issuer] = _Cached()

    def find(self, issuer: str, kid: str) -> tuple[Mapping[str, Any], ...]:
        """The issuer's JWKs with this kid. Raises NoKey when there are none or they cannot be read."""
        cached = self._cache.get(issuer)
        if cached is None:
            raise NoKey(issuer)
        with cached.lock:
            age = None if cached.fetched is None else self._clock() - cached.fetched
            known = any(key.get("kid") == kid for key in cached.keys)
            if age is None or age >= self._max_age or (not known and age >= self._cooldown):
                try:
                    cached.keys = self._fetch(issuer)
                except _Unreachable as error:
                    raise NoKey(issuer) from error
                cached.fetched = self._clock()
            found = tuple(key for key in cached.keys if key.get("kid") == kid)
        if not found:
            raise NoKey(issuer)
        return found

    def _fetch(self, issuer: str) -> tuple[Mapping[str, Any], ...]:
        address = self._addresses[issuer]
        base = address.url.rstrip("/")
        document = _get(f"{base}/.well-known/openid-configuration", address.ca)
        # Byte for byte (OpenID Connect Discovery 1.0 §4.3).
        if document.get("issuer") != issuer:
            raise _Unreachable("the discovery document is another issuer's")
        if not all(isinstance(document.get(member), list) for member in _REQUIRED):
            raise _Unreachable(f"the discovery document lacks one of {', '.join(_REQUIRED)}")
        jwks_uri = document.get("jwks_uri")
        if not isinstance(jwks_uri, str):
            raise _Unreachable("the discovery document names no key set")
        below = issuer.rstrip("/") + "/"
        if jwks_uri.startswith(below):
            jwks_uri = f"{base}/{jwks_uri.removeprefix(below)}"
        keys = _get(jwks_uri, address.ca).get("keys")
        if not isinstance(keys, list):
            raise _Unreachable("the key set has no keys")
        return tuple(key for key in keys if isinstance(key, dict))


def _get(url: str, ca: Path) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise _Unreachable("keys are only read over https")
    try:
        context = ssl.create_default_context(cafile=str(ca))
        connection = http.client.HTTPSConnection(parts.hostname, parts.port, timeout=TIMEOUT, context=context)
        try:
            # kube-apiserver serves its key set only as application/jwk-set+json and answers 406 to a narrower wish.
            connection.request("GET", parts.path or "/", headers={"Accept": "*/*"})
            response = connection.getresponse()
            body = response.read(_SIZE + 1)
        finally:
            connection.close()
        # No redirects: an issuer that sends its readers elsewhere is not this issuer.
        if response.status != 200 or len(body) > _SIZE:
            raise _Unreachable(f"{url} answered with status {response.status}")
        document = json.loads(body)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise _Unreachable(f"{url} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise _Unreachable("not a JSON object")
    return document
