"""Keeps the admission server's certificate: observes, takes the next step of a rotation, writes the Secret."""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from apostille.controller.generated import Generated
from apostille.controller.issuing import Material, Unusable, issue, read, unexpired
from apostille.controller.prober import Prober
from apostille.controller.replicas import Replicas
from apostille.core import certificates
from apostille.core.certificates import (
    AUTHORITIES,
    KEY,
    LEAF,
    NEXT_KEY,
    NEXT_LEAF,
    Decision,
    Kept,
    Pair,
    Renewal,
    Seen,
    fingerprint,
)
from apostille.core.settings import CertificateSettings
from apostille.kube.client import SECRETS, ApiError, Client
from apostille.kube.reflector import Key, Reflector
from apostille.model.names import MANAGED, MANAGED_LABEL, SERVE_ANNOTATION, SERVING_SECRET
from apostille.telemetry import metrics
from apostille.telemetry.logging import about

log = logging.getLogger(__name__)

MANAGER = "apostille/certificate"
KINDS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
# While the API server is waited for, and when nothing is but a replica, which is heard of.
PAUSE, IDLE_PAUSE = 0.2, 60.0
RETRY = 2.0
# A configuration that never shows, such as one that somebody writes against, must not keep a certificate from renewal.
PATIENCE = 600.0
INVALID = 422
# How long a Secret of others is waited for that cannot be read.
OTHERS_SECONDS = 30.0
INHERITED_FOR = timedelta(days=1)

Raw = dict[str, Any]


class Certificates:
    """One step at a time, each a single write. ``changed()`` is called when there is reason for another look,

    ``spread()`` when webhook configurations are to be written with another `bundle`.
    """

    def __init__(
        self,
        client: Client,
        generated: Generated,
        prober: Prober,
        own_namespace: str,
        settings: CertificateSettings,
        changed: Callable[[], None],
        spread: Callable[[], None],
    ) -> None:
        self._client, self._generated, self._prober = client, generated, prober
        self._settings, self._spread = settings, spread
        self._path = SECRETS.path(SERVING_SECRET, namespace=own_namespace)
        self._namespace = own_namespace
        self._about = about(SECRETS.kind, SERVING_SECRET, own_namespace)
        self._renewal = Renewal(settings.lifetime, settings.lifetime / 3)
        self._own: Raw | None = None
        self._calm: tuple[object, float] = (None, 0.0)
        self._problem = ""
        self._until = _now() + OTHERS_SECONDS
        self._parsed: dict[str, dict[str, str]] = {}

        def heard(key: Key, before: Raw | None, after: Raw | None) -> None:
            self._own = None if after is None or _newer(after, self._own) else self._own
            changed()

        collection = SECRETS.path(namespace=own_namespace)
        self._copy: Reflector[Raw] = Reflector(client, collection, _slim, heard, name=SERVING_SECRET)
        self._others: dict[str, Reflector[Raw]] = {
            name: Reflector(client, collection, _slim, lambda key, before, after: changed(), name=name)
            for name in (settings.source, settings.inherited)
            if name
        }
        self._replicas = Replicas(client, own_namespace, settings.replicas, changed)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._copy.run())
            group.create_task(self._replicas.run())
            for other in self._others.values():
                group.create_task(other.run())

    @property
    def bundle(self) -> str:
        """The caBundle of every webhook; empty where nothing is known that may be trusted."""
        secret = self._secret()
        trusted = certificates.must_trust(self._kept(secret), self._seen())
        known = self._known(secret)
        return certificates.bundle([known[authority] for authority in trusted]) if trusted else ""

    async def advance(self, owner: Mapping[str, Any]) -> float:
        """The next step; returns seconds until the one after it. Raises nothing: policies must not wait for this."""
        if not self._copy.synced.is_set():
            return PAUSE
        if not all(other.synced.is_set() for other in self._others.values()) and _now() < self._until:
            return PAUSE
        secret = self._secret()
        kept, seen, now = self._kept(secret), self._seen(), self._client.now()
        offered = self._offered(secret)
        decision = certificates.decide(kept, seen, now, self._renewal, offered.pair if offered else None)
        metrics.CERTIFICATE_EXPIRY.set(kept.serving.not_after.timestamp() if kept.serving is not None else 0)
        self._replicas.attend(not certificates.everywhere(kept, seen))
        match decision.step:
            case "spread":
                self._spread()
                return RETRY
            case "wait" if kept.following is not None:
                return PAUSE
            case "wait" | "done":
                return IDLE_PAUSE
        if decision.step in ("install", "prepare"):
            if self._settings.source and offered is None:
                return RETRY
            offered = offered or issue(self._settings.host, now, self._settings.lifetime)
        else:
            offered = None
        try:
            await self._write(secret, kept, decision, offered, owner)
        except ApiError as error:
            log.warning("certificate not written", extra={**self._about, "step": decision.step, "reason": str(error)})
            return error.retry_after or RETRY
        metrics.CERTIFICATE_STEPS.labels(decision.step).inc()
        log.info("certificate", extra={**self._about, "step": decision.step, "authorities": len(decision.trusted)})
        self._replicas.hurry()
        return 0.0

    async def _write(
        self,
        secret: Raw | None,
        kept: Kept,
        decision: Decision,
        new: Material | None,
        owner: Mapping[str, Any],
    ) -> None:
        wanted = certificates.after(kept, decision, new.pair if new is not None else None)
        pems = self._known(secret) | {fingerprint(pem): pem for pem in (new.authorities if new is not None else ())}
        data = {AUTHORITIES: base64.b64decode(certificates.bundle([pems[one] for one in wanted.trusted])).decode()}
        for pair, leaf, key in ((wanted.serving, LEAF, KEY), (wanted.following, NEXT_LEAF, NEXT_KEY)):
            if pair is not None:
                data[leaf], data[key] = self._texts(pair, secret, new)
        body: Raw = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": SERVING_SECRET,
                "namespace": self._namespace,
                "labels": {MANAGED_LABEL: MANAGED},
                "annotations": {SERVE_ANNOTATION: wanted.serving.leaf} if wanted.serving is not None else {},
                "ownerReferences": [dict(owner)],
            },
            "type": "Opaque",
            "data": {name: base64.b64encode(text.encode()).decode() for name, text in data.items()},
        }
        if secret is not None:
            # What was decided holds for what was seen: a write that was on its way for long must not arrive.
            body["metadata"]["resourceVersion"] = secret["metadata"]["resourceVersion"]
        try:
            self._own = _slim(await self._client.apply(self._path, body, manager=MANAGER))
        except ApiError as error:
            if error.code != INVALID or secret is None:
                raise
            # Somebody made one of that name that cannot be changed: of another type, or immutable.
            await self._client.delete(self._path)

    def _texts(self, pair: Pair, secret: Raw | None, new: Material | None) -> tuple[str, str]:
        if new is not None and new.pair.leaf == pair.leaf:
            return new.leaf, new.key
        for leaf, key in ((LEAF, KEY), (NEXT_LEAF, NEXT_KEY)):
            if fingerprint(text := _text(secret, leaf)) == pair.leaf:
                return text, _text(secret, key)
        raise LookupError("the Secret does not hold what was read from it")

    # What is observed.

    def _secret(self) -> Raw | None:
        copied = self._copy.get(self._namespace, SERVING_SECRET)
        return self._own if self._own is not None and (copied is None or _newer(self._own, copied)) else copied

    def _kept(self, secret: Raw | None) -> Kept:
        if secret is None:
            return Kept()
        serving, following = self._read(secret, LEAF, KEY), self._read(secret, NEXT_LEAF, NEXT_KEY)
        if serving is not None and (secret["metadata"].get("annotations") or {}).get(SERVE_ANNOTATION) != serving.leaf:
            serving = None  # replicas do not take it either
        if serving is not None and following is not None and following.leaf == serving.leaf:
            following = None
        trusted = frozenset(map(fingerprint, unexpired([_text(secret, AUTHORITIES)], self._client.now())))
        return Kept(serving, following, trusted)

    def _read(self, secret: Raw, leaf: str, key: str) -> Pair | None:
        if leaf not in secret["data"]:
            return None
        try:
            host = self._settings.host
            return read(_text(secret, leaf), _text(secret, key), [_text(secret, AUTHORITIES)], host).pair
        except Unusable as error:
            self._tell(f"{SERVING_SECRET}, {leaf}: {error}")
            return None

    def _offered(self, secret: Raw | None) -> Material | None:
        """What somebody else issues; else what an earlier version left, for a day after ours has begun."""
        if self._settings.source:
            return self._taken(self._settings.source)
        began = secret["metadata"].get("creationTimestamp") if secret is not None else None
        if self._settings.inherited and (
            began is None or self._client.now() < datetime.fromisoformat(began) + INHERITED_FOR
        ):
            return self._taken(self._settings.inherited)
        return None

    def _taken(self, name: str) -> Material | None:
        found, said = self._others[name].get(self._namespace, name), "there is none"
        if found is not None:
            try:
                made = read(_text(found, LEAF), _text(found, KEY), [_text(found, AUTHORITIES)], self._settings.host)
            except Unusable as error:
                said = str(error)
            else:
                if made.pair.not_after > self._client.now():
                    return made
                said = "it has ended"
        self._tell(f"{name}: {said}")
        return None

    def _seen(self) -> Seen:
        bundles, configurations = {}, []
        for kind in KINDS:
            for name in self._generated.names(kind):
                raw = self._generated.get(kind, name)
                if raw is None:
                    continue
                configurations.append(raw)
                for webhook in raw.get("webhooks") or ():
                    parsed = self._authorities((webhook.get("clientConfig") or {}).get("caBundle") or "")
                    bundles[f"{name}/{webhook['name']}"] = frozenset(parsed)
        if self._calm[0] != bundles:
            self._calm = (bundles, _now())
        waited = self._waited()
        return Seen(
            bundles,
            settled=waited >= self._settings.settle.total_seconds(),
            shown=None if waited >= PATIENCE else self._prober.shows(configurations),
            replicas=self._replicas.seen,
        )

    def _waited(self) -> float:
        return _now() - self._calm[1]

    def _known(self, secret: Raw | None) -> dict[str, str]:
        """Every authority that is anywhere, by fingerprint."""
        known = {fingerprint(pem): pem for pem in certificates.certificates(_text(secret, AUTHORITIES))}
        for parsed in self._parsed.values():
            known |= parsed
        return known

    def _authorities(self, bundle: str) -> dict[str, str]:
        if bundle not in self._parsed:
            if len(self._parsed) > 64:
                self._parsed.clear()
            try:
                text = base64.b64decode(bundle).decode(errors="replace")
            except (binascii.Error, ValueError):
                text = ""
            self._parsed[bundle] = {fingerprint(pem): pem for pem in certificates.certificates(text)}
        return self._parsed[bundle]

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            log.warning("certificate not usable", extra={**self._about, "reason": problem})


_KEPT = ("name", "namespace", "resourceVersion", "annotations", "creationTimestamp")


def _slim(raw: Raw) -> Raw:
    metadata = raw["metadata"]
    kept = {key: metadata[key] for key in _KEPT if key in metadata}
    return {"metadata": kept, "data": raw.get("data") or {}}


def _newer(one: Raw, other: Raw | None) -> bool:
    return other is None or int(one["metadata"]["resourceVersion"]) >= int(other["metadata"]["resourceVersion"])


def _text(secret: Raw | None, name: str) -> str:
    try:
        return base64.b64decode((secret or {"data": {}})["data"].get(name) or "").decode()
    except (binascii.Error, ValueError):
        return ""


def _now() -> float:
    return asyncio.get_running_loop().time()
