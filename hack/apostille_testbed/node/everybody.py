"""Every relying party where pods of a node reach it: the strict judges by their vendors' names, and the real servers.

Put `aliases` into a pod's spec, where others have a name server; each party has an address of its own, all have 443.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from apostille_testbed.chart import NAMESPACE
from apostille_testbed.client import APIError
from apostille_testbed.node import network
from apostille_testbed.node.lane import Node
from apostille_testbed.parties import issuers, party
from apostille_testbed.parties.relay import Relay
from apostille_testbed.progress import Say

JUDGES = ("aws", "entra", "google", "databricks", "hcp", "snowflake", "alibaba")
SERVERS = ("vault", "minio", "keycloak", "hydra")
HYDRA_ADMIN = 4445

_ADDRESSES = dict(zip((*JUDGES, *SERVERS), network.PLACES, strict=False))

Parties = Mapping[str, Any]
"""Running parties by name."""


def aliases(parties: Parties) -> list[dict[str, Any]]:
    """``spec.hostAliases`` of a pod."""
    return [{"ip": _ADDRESSES[name], "hostnames": list(running.hosts)} for name, running in parties.items()]


def authorities(parties: Parties) -> str:
    """The PEM text of those that their clients must trust."""
    return "".join(running.ca.read_text() for running in parties.values())


def rendered(node: Node, trust: str) -> dict[str, str]:
    """The documents that Apostille rendered for a trust; none: there are none yet. Raises APIError."""
    try:
        path = f"/api/v1/namespaces/{NAMESPACE}/configmaps/apostille-access-{trust}"
        files: dict[str, str] = node.client.request("GET", path)["data"]
    except APIError as error:
        if error.status != 404:
            raise
        return {}
    return files


@contextlib.contextmanager
def judges(node: Node, short: Mapping[str, int]) -> Iterator[Parties]:
    """Runs `JUDGES` for the length of a ``with`` block; they know the node's keys.

    ``short``: seconds that credentials of these subjects live, but at AWS and Alibaba Cloud, which give a quarter of an
    hour at least.
    """
    with contextlib.ExitStack() as stack:
        made = {}
        for name in JUDGES:
            running: Any = stack.enter_context(party(name, **({} if name == "aws" else {"short": short})))
            running.resolve(node.issuer, node.url, node.ca)
            stack.enter_context(_reached(name, 443, running.port))
            made[name] = running
        yield made


@contextlib.contextmanager
def servers(node: Node, say: Say | None = None) -> Iterator[Parties]:
    """Runs `SERVERS`, begun together, for the length of a ``with`` block; they read the node's keys from a copy.

    Raises BuildError, ProcessError, OSError.
    """
    with contextlib.ExitStack() as stack:
        # With the node's files: however this process ends, they go with those.
        folders = {name: node.directory / "everybody" / name for name in ("issuers", *SERVERS)}
        for folder in folders.values():
            folder.mkdir(parents=True)
        site = issuers.IssuerSite({node.issuer: issuers.of(node)}, folders["issuers"])
        stack.callback(site.close)
        site.start()
        with ThreadPoolExecutor(len(SERVERS)) as pool:
            begun = {}
            for name in SERVERS:
                context = party(name, site=site, directory=folders[name], hosts=[_host(name)], say=say)
                begun[name] = pool.submit(stack.enter_context, context)
        made: dict[str, Any] = {name: one.result() for name, one in begun.items()}
        for name, running in made.items():
            stack.enter_context(_reached(name, 443, running.port))
        stack.enter_context(_reached("hydra", HYDRA_ADMIN, made["hydra"].admin_port))
        yield made


def _host(server: str) -> str:
    return f"{server}.test"


def _reached(name: str, port: int, at: int) -> Relay:
    return Relay((_ADDRESSES[name], port), ("127.0.0.1", at))
