"""The cluster as an OIDC issuer: discovery document, keys, and the audiences that are the API server's own."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from apostille.kube.client import SERVICE_ACCOUNTS, ApiError, Client
from apostille.model.finding import Finding, refusals
from apostille.model.identity import Issuer
from apostille.rules import catalogue
from apostille.rules.keys import issuer as published
from apostille.rules.keys import key_set


class IssuerUnknown(Exception):
    """The issuer cannot be used; the message says why and what to do."""


async def discover(client: Client, namespace: str, service_account: str) -> Issuer:
    """Reads the discovery document and keys, and compares them with a token of ``service_account`` (byte for byte).

    Raises IssuerUnknown.
    """
    try:
        document = await client.get("/.well-known/openid-configuration")
        keys = await client.get("/openid/v1/jwks")
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [], "expirationSeconds": 600},
        }
        path = SERVICE_ACCOUNTS.path(service_account, namespace=namespace, subresource="token")
        answer, _ = await client.create(path, request)
    except ApiError as error:
        raise IssuerUnknown(f"the API server's issuer cannot be read: {error}") from None
    try:
        return _issuer(document, keys, _claims(answer["status"]["token"]))
    except (KeyError, ValueError, IndexError, TypeError, AttributeError):
        # Not chained: the token must not get into a log.
        raise IssuerUnknown("the API server's discovery document, keys or token have an unknown form") from None


def _issuer(document: dict[str, Any], keys: dict[str, Any], claims: dict[str, Any]) -> Issuer:
    url = str(document.get("issuer", ""))
    if found := refusals(findings(url, keys, claims)):
        raise IssuerUnknown("; ".join(map(str, found)))
    audiences = claims.get("aud") or []
    return published(url, keys, [audiences] if isinstance(audiences, str) else audiences)


def findings(url: str, keys: dict[str, Any], claims: dict[str, Any]) -> Iterator[Finding]:
    """Rules on what the API server publishes, against a token's claims."""
    if claims.get("iss") != url:
        yield catalogue.ISSUER_MISMATCH.at(
            "spec.issuer", f"the discovery document names {url!r} but tokens carry {claims.get('iss')!r}"
        )
    if not url.startswith("https://"):
        yield catalogue.ISSUER_HTTP.at("spec.issuer", f"the cluster's issuer is {url!r}")
    yield from key_set(keys, "/openid/v1/jwks")


def _claims(token: str) -> dict[str, Any]:
    # Not verified: it came from the API server itself, over its own TLS.
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims
