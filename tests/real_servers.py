"""Keycloak and Hydra as tests meet them: one server a session, beside a real API server and an issuer with faults."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

from apostille.model.identity import Issuer as IssuerFacts
from apostille_testbed import ControlPlane
from apostille_testbed.parties import issuers, party, programs
from apostille_testbed.parties.issuers import DISCOVERY, KEYS, IssuerSite
from apostille_testbed.parties.server import RealServer
from self_hosted import READER, URL
from testbed.strict_sts_issuer import Issuer

Server = TypeVar("Server", bound=RealServer)


@dataclass
class World(Generic[Server]):
    """A server and the two issuers whose keys it can read."""

    server: Server
    issuer: Issuer
    cluster: ControlPlane
    site: IssuerSite

    def token(self, audience: Any, subject: str = READER, **changes: Any) -> str:
        """A token of the issuer, with any fault."""
        return self.issuer.token(subject, audience, **changes)

    def real_token(self, audience: str, namespace: str, name: str, seconds: int = 3600) -> str:
        """A token of the real API server (TokenRequest)."""
        spec = {"audiences": [audience], "expirationSeconds": seconds}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        token: str = self.cluster.client.request("POST", path, body)["status"]["token"]
        return token

    def account(self, namespace: str, name: str) -> None:
        """A service account of the real API server, which another test may have made."""
        query = f"/api/v1/namespaces?fieldSelector=metadata.name={namespace}"
        if not self.cluster.client.request("GET", query)["items"]:
            self.cluster.create_namespace(namespace)
        self.cluster.kubectl("create", "serviceaccount", name, "-n", namespace, check=False)

    @property
    def facts(self) -> IssuerFacts:
        """The cluster as the controller knows it."""
        keys = self.cluster.client.request("GET", KEYS)["keys"]
        return facts(self.cluster.issuer, keys)


def facts(url: str, keys: list[dict[str, Any]]) -> IssuerFacts:
    """An issuer by its key set."""
    return IssuerFacts(url, tuple(key["kid"] for key in keys), (), ("RS256",), json.dumps({"keys": keys}))


def run_script(script: str, environment: Mapping[str, str]) -> None:
    """A rendered script as its reader runs it; fails with what it said."""
    done = subprocess.run(
        [shutil.which("sh") or "sh", "-c", script], env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def required(name: str) -> None:
    """Skips with the reason where the machine cannot have the server; fails where ``$APOSTILLE_REQUIRE`` names it."""
    if why := programs.missing(name):
        wanted = name in os.environ.get("APOSTILLE_REQUIRE", "").split(",")
        (pytest.fail if wanted else pytest.skip)(why)


@contextmanager
def world(name: Any, cluster: ControlPlane, directory: Path) -> Iterator[World[Any]]:
    """Runs the server of this name."""
    required(name)
    issuer = Issuer(URL, "RS256")

    def published(path: str) -> Any:
        return issuer.document if path == DISCOVERY else {"keys": issuer.jwks}

    site = IssuerSite({URL: published, cluster.issuer: issuers.of(cluster)}, directory)
    site.start()
    try:
        with party(name, site=site) as server:
            yield World(server, issuer, cluster, site)
    finally:
        site.close()
