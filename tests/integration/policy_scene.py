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
        for document in self.documents:
            self.api.apply(document)
        for gone in before:
            if _identity(gone) not in kept:
                self.api.delete(gone)
        expected = grants.expected_warnings(self.documents)
        asked = max(grants.probe_names(before), grants.probe_names(self.documents), key=len)
        return until(lambda: self.answered(asked) == expected, f"{expected}")

    def answered(self, probes: Sequence[str] = ("apostille-probe-0",)) -> frozenset[str]:
        """What policies answer to these probes, without the API server's own words before it."""
        warnings = [text for name in probes for text in self.api.probe(OWN, name)]
        return grants.warnings_of_policies(text[text.find("apostille: ") :] for text in warnings)

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
