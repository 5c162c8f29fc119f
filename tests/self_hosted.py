"""Declarations for Vault and MinIO, and the real servers with an issuer of their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.identity import Issuer as IssuerFacts
from apostille_testbed.parties.issuers import DISCOVERY, IssuerSite
from builders import binding, trust
from testbed.strict_sts_issuer import Issuer

URL = "https://cluster-a.issuer.example"
FACTS = IssuerFacts(URL, ("key-1",), (), ("RS256",))
VAULT_AUDIENCE = "https://vault.example:8200/v1/auth/jwt"
MINIO_AUDIENCE = "https://minio.example:9000"
READER = "system:serviceaccount:payments:reader"
STRANGERS = ("system:serviceaccount:payments:reader2", "system:serviceaccount:x7f:q9")


def vault_trust(name: str = "vault-prod", settings: dict[str, Any] | None = None, **spec: Any) -> FederationTrust:
    """A trust in Vault; ``settings`` replaces fields of its union member."""
    vault = {
        "address": "https://vault.example:8200",
        "roles": [{"name": "payments-reader", "policies": ["payments-ro"]}],
    }
    given = {
        "relyingParty": {"type": "Vault", "vault": vault | (settings or {})},
        "audience": None,
        "allow": [{"namespace": "payments", "serviceAccounts": ["reader"], "targets": ["payments-reader"]}],
    }
    return trust(name, **(given | spec))


def vault_binding(
    name: str = "db", namespace: str = "payments", role: str = "payments-reader", **spec: Any
) -> WorkloadBinding:
    """A binding to a Vault role."""
    return binding(
        name, namespace, **({"trustRef": {"name": "vault-prod"}, "target": {"vault": {"role": role}}} | spec)
    )


LEDGER = [
    {
        "name": "ledger-reader",
        "statements": [
            {"actions": ["s3:ListBucket"], "resources": ["arn:aws:s3:::ledger"]},
            {"actions": ["s3:GetObject"], "resources": ["arn:aws:s3:::ledger/*"]},
        ],
    },
    {
        "name": "ledger-writer",
        "statements": [{"actions": ["s3:PutObject"], "resources": ["arn:aws:s3:::ledger/in/*"]}],
    },
]


def minio_trust(name: str = "minio-prod", settings: dict[str, Any] | None = None, **spec: Any) -> FederationTrust:
    """A trust in MinIO; ``settings`` replaces fields of its union member."""
    minio = {"endpoint": MINIO_AUDIENCE, "policies": LEDGER}
    given = {
        "relyingParty": {"type": "MinIO", "minio": minio | (settings or {})},
        "audience": None,
        "allow": [{"namespace": "payments", "serviceAccounts": ["reader"], "targets": ["ledger-reader"]}],
    }
    return trust(name, **(given | spec))


def minio_binding(
    name: str = "ledger", namespace: str = "payments", policy: str = "ledger-reader", **spec: Any
) -> WorkloadBinding:
    """A binding to a MinIO policy."""
    target = {"minio": {"policy": policy}}
    return binding(name, namespace, **({"trustRef": {"name": "minio-prod"}, "target": target} | spec))


VAULTS = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ("vault", "openbao")]
"""The servers that the party Vault speaks for; the tests of one share a server."""


@contextmanager
def issuer_site(directory: Path) -> Iterator[tuple[Issuer, IssuerSite]]:
    """An issuer with keys of its own, served under its own name to whoever comes through the site's proxy."""
    issuer = Issuer(URL, "RS256")
    site = IssuerSite({URL: lambda path: issuer.document if path == DISCOVERY else {"keys": issuer.jwks}}, directory)
    site.start()
    try:
        yield issuer, site
    finally:
        site.close()
