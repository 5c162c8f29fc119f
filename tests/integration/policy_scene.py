"""Writes the policies of ``core.grants`` to a real API server and asks it for tokens and pods."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from apostille.core import grants
from apostille.core.grants import Grant, Protection
from apostille.core.settings import ClusterSettings
from apostille.model.identity import ServiceAccount
from integration.plain_client import Answer, PlainClient, namespace, pod, service_account, until

OWN = "apostille-system"
SETTINGS = ClusterSettings(own_namespace=OWN, client_config={"url": "https://127.0.0.1:1"}, ca_bundle="")
ENFORCED, WARNED, AUDITED = "https://enforced.example", "https://warned.example", "https://audited.example"
FREE = "https://nobody-protects-this.example"


class PolicyScene:
    """Namespaces that are nobody else's, with the service accounts ``reader`` and ``stranger`` and a pod of each."""

    def __init__(self, api: PlainClient) -> None:
        self.api = api
        self.prefix = f"pol-{secrets.token_hex(3)}"
        self.documents: Sequence[dict[str, Any]] = ()
        api.ensure(namespace(OWN))

    def namespace(self, name: str) -> str:
        """Makes one; pods of the name of their service account stand ready for tokens to be bound to."""
        full = f"{self.prefix}-{name}"
        self.populate(full)
        return full

    def populate(self, full: str) -> None:
        self.api.ensure(namespace(full))
        for account in ("reader", "stranger", "default"):
            self.api.ensure(service_account(full, account), pod(full, account, account))

    def write(self, protections: Sequence[Protection], granted: Sequence[Grant]) -> float:
        """Makes the API server hold exactly these; returns the seconds from the last write until they are in force."""
        before, self.documents = self.documents, grants.policies(protections, granted, SETTINGS)
        kept = {_identity(document) for document in self.documents}
        *judging, probe_binding, probe = self.documents
        for document in judging:
            self.api.apply(document)
        # The probe is the fence, also for what goes: it is written after the last deletion.
        for gone in before:
            if _identity(gone) not in kept:
                self.api.delete(gone)
        self.api.apply(probe_binding)
        self.api.apply(probe)
        expected = grants.expected_warning(self.documents)
        return until(lambda: expected in " ".join(self.api.probe(OWN)), expected)

    def clear(self) -> None:
        for document in self.documents:
            self.api.delete(document)

    def token(
        self, where: str, account: str, audiences: Sequence[str], *, seconds: int | None = 3600,
        bound: Mapping[str, str] | str | None = "", dry_run: bool = False, **who: Any,
    ) -> Answer:  # fmt: skip
        """A token request; bound to the service account's pod unless told otherwise, ``bound=None`` sends null."""
        spec: dict[str, Any] = {"audiences": list(audiences)}
        if seconds is not None:
            spec["expirationSeconds"] = seconds
        if bound != "not":
            spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", "name": account} if bound == "" else bound
        path = f"/api/v1/namespaces/{where}/serviceaccounts/{account}/token" + ("?dryRun=All" if dry_run else "")
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        return self.api.request("POST", path, body, **who)


def _identity(document: Mapping[str, Any]) -> tuple[str, str]:
    return document["kind"], document["metadata"]["name"]


def grant(where: str, account: str, audience: str, seconds: int = 3600) -> Grant:
    return Grant(ServiceAccount(where, account), audience, seconds)


def token_source(audience: str | None, seconds: int | None = 3600) -> dict[str, Any]:
    source: dict[str, Any] = {"path": "token"}
    if audience is not None:
        source["audience"] = audience
    if seconds is not None:
        source["expirationSeconds"] = seconds
    return {"serviceAccountToken": source}


def token_volume(name: str, *sources: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "projected": {"sources": list(sources)}}


@contextmanager
def policy_scene(api: PlainClient) -> Iterator[PolicyScene]:
    """Leaves no policy behind."""
    scene = PolicyScene(api)
    try:
        yield scene
    finally:
        scene.clear()
