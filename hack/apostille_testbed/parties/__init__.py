"""Relying parties for tests and the demo: each judges by the *rendered* trust documents, as its vendor does.

Nothing here may import the product: a party that shared its code would share its mistakes.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from apostille_testbed.parties.aws import AWSParty
    from apostille_testbed.parties.databricks import DatabricksParty
    from apostille_testbed.parties.entra import EntraParty
    from apostille_testbed.parties.google import GoogleParty
    from apostille_testbed.parties.hcp import HCPParty
    from apostille_testbed.parties.hydra.party import HydraParty
    from apostille_testbed.parties.keycloak.party import KeycloakParty
    from apostille_testbed.parties.minio import MinIOParty
    from apostille_testbed.parties.snowflake import SnowflakeParty
    from apostille_testbed.parties.vault import VaultParty


class Party(Protocol):
    """What every relying party of the testbed offers."""

    @property
    def url(self) -> str:
        """Where it listens: scheme, loopback address and port."""

    @property
    def port(self) -> int:
        """Its TCP port; the same after `stop` and `start`."""

    @property
    def ca(self) -> Path:
        """The PEM file that its clients must trust."""

    @property
    def hosts(self) -> tuple[str, ...]:
        """The vendor's host names that its certificate is valid for and that it answers to."""

    def start(self) -> None:
        """Begins to answer; returns when the port accepts connections."""

    def stop(self) -> None:
        """Drops every connection and refuses new ones, keeping state and port: what a killed server looks like."""

    def close(self) -> None:
        """Stops for good and removes what it wrote."""


# module:class, imported on use: a test that needs one party pays for one party.
_PARTIES = {
    "aws": "apostille_testbed.parties.aws:AWSParty",
    "entra": "apostille_testbed.parties.entra:EntraParty",
    "google": "apostille_testbed.parties.google:GoogleParty",
    "databricks": "apostille_testbed.parties.databricks:DatabricksParty",
    "hcp": "apostille_testbed.parties.hcp:HCPParty",
    "hydra": "apostille_testbed.parties.hydra.party:HydraParty",
    "keycloak": "apostille_testbed.parties.keycloak.party:KeycloakParty",
    "minio": "apostille_testbed.parties.minio:MinIOParty",
    "snowflake": "apostille_testbed.parties.snowflake:SnowflakeParty",
    "vault": "apostille_testbed.parties.vault:VaultParty",
}


def names() -> tuple[str, ...]:
    """The parties that `party` knows."""
    return tuple(_PARTIES)


@overload
def party(name: Literal["aws"], **settings: Any) -> AbstractContextManager[AWSParty]: ...
@overload
def party(name: Literal["entra"], **settings: Any) -> AbstractContextManager[EntraParty]: ...
@overload
def party(name: Literal["google"], **settings: Any) -> AbstractContextManager[GoogleParty]: ...
@overload
def party(name: Literal["databricks"], **settings: Any) -> AbstractContextManager[DatabricksParty]: ...
@overload
def party(name: Literal["hcp"], **settings: Any) -> AbstractContextManager[HCPParty]: ...
@overload
def party(name: Literal["hydra"], **settings: Any) -> AbstractContextManager[HydraParty]: ...
@overload
def party(name: Literal["keycloak"], **settings: Any) -> AbstractContextManager[KeycloakParty]: ...
@overload
def party(name: Literal["minio"], **settings: Any) -> AbstractContextManager[MinIOParty]: ...
@overload
def party(name: Literal["snowflake"], **settings: Any) -> AbstractContextManager[SnowflakeParty]: ...
@overload
def party(name: Literal["vault"], **settings: Any) -> AbstractContextManager[VaultParty]: ...
@overload
def party(name: str, **settings: Any) -> AbstractContextManager[Party]: ...
@contextmanager
def party(name: str, **settings: Any) -> Iterator[Any]:
    """Runs a relying party for the length of a ``with`` block.

    ``settings`` are the arguments of its class. Raises KeyError for a party that does not exist.
    """
    module, _, attribute = _PARTIES[name].partition(":")
    running = getattr(importlib.import_module(module), attribute)(**settings)
    try:
        running.start()
        yield running
    finally:
        running.close()
