"""Real Vault and MinIO where pods of a node reach them, with the cluster's keys from a published copy.

Pods know them as `VAULT` and `MINIO`; put `ALIASES` into their spec, where others have a name server.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from apostille_testbed.chart import NAMESPACE
from apostille_testbed.client import APIError
from apostille_testbed.node import network
from apostille_testbed.node.lane import Node
from apostille_testbed.parties import issuers, party
from apostille_testbed.parties.minio import MinIOParty
from apostille_testbed.parties.relay import Relay
from apostille_testbed.parties.vault import VaultParty
from apostille_testbed.progress import Say

_VAULT = ("vault.test", 443)
_MINIO = ("minio.test", 9000)

VAULT = f"https://{_VAULT[0]}"
MINIO = f"https://{_MINIO[0]}:{_MINIO[1]}"

ALIASES: list[dict[str, Any]] = [{"ip": network.MACHINE, "hostnames": [_VAULT[0], _MINIO[0]]}]
"""``spec.hostAliases`` of a pod."""


@dataclass(frozen=True)
class SelfHosted:
    """Both servers and the node whose tokens they know."""

    node: Node
    minio: MinIOParty
    vault: VaultParty

    def rendered(self, trust: str) -> dict[str, str]:
        """The documents that Apostille rendered; none: there are none yet. Raises APIError."""
        path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/apostille-access-{trust}"
        try:
            files: dict[str, str] = self.node.client.request("GET", path)["data"]
        except APIError as error:
            if error.status != 404:
                raise
            return {}
        return files


@contextlib.contextmanager
def self_hosted(node: Node, say: Say | None = None) -> Iterator[SelfHosted]:
    """Runs both, begun together, for the length of a ``with`` block. Raises BuildError, ProcessError, OSError."""
    # With the node's files: however this process ends, they go with those.
    folders = {name: node.directory / name for name in ("issuers", "vault", "minio")}
    for folder in folders.values():
        folder.mkdir()
    with contextlib.ExitStack() as stack:
        site = issuers.IssuerSite({node.issuer: issuers.of(node)}, folders["issuers"])
        stack.callback(site.close)
        site.start()
        with ThreadPoolExecutor(2) as pool:
            begun = [
                pool.submit(
                    stack.enter_context, party(name, site=site, directory=folders[name], hosts=place[:1], say=say)
                )
                for name, place in (("vault", _VAULT), ("minio", _MINIO))
            ]
        vault, minio = (one.result() for one in begun)
        for (_, port), server in ((_VAULT, vault), (_MINIO, minio)):
            stack.enter_context(Relay((network.MACHINE, port), ("127.0.0.1", server.port)))
        yield SelfHosted(node, minio, vault)
