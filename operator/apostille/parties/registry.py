"""The parties that this build knows. Adding one is a folder and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from apostille.model.finding import Finding, Rule
from apostille.parties.aws import bare as aws_bare
from apostille.parties.aws.party import AWS
from apostille.parties.azure.party import Azure
from apostille.parties.databricks.party import Databricks
from apostille.parties.gcp import bare as gcp_bare
from apostille.parties.gcp.documents import uploaded as gcp_uploaded
from apostille.parties.gcp.party import GCP
from apostille.parties.hcp.party import HCP
from apostille.parties.keycloak.party import Keycloak
from apostille.parties.minio.party import MinIO
from apostille.parties.oauth.documents import uploaded as oauth_uploaded
from apostille.parties.oauth.party import OAuth
from apostille.parties.party import Party
from apostille.parties.snowflake.party import Snowflake
from apostille.parties.vault.party import Vault
from apostille.rules.catalogue import GENERIC

PARTIES: tuple[Party, ...] = (
    AWS(), Azure(), Databricks(), GCP(), HCP(), Keycloak(), MinIO(), OAuth(), Snowflake(), Vault(),
)  # fmt: skip

BY_NAME = {party.name: party for party in PARTIES}

# Documents that people keep alone: what makes native documents of one, and the field in which it stands there.
_ALONE: Mapping[str, tuple[Callable[[Any], Mapping[str, str] | None], str]] = {
    AWS.name: (aws_bare.documents, aws_bare.PREFIX),
}

# The same for documents of which no native ones can be made: they are judged as they are.
_JUDGED_ALONE: Mapping[str, Callable[[Any], Iterator[Finding]]] = {GCP.name: gcp_bare.findings}
# Parties that are given keys: those that stand in their documents, by `FILE:FIELD`, with the issuer that they are of.
_UPLOADED: Mapping[str, Callable[[Any], Iterator[tuple[str, str, str]]]] = {
    GCP.name: gcp_uploaded, OAuth.name: oauth_uploaded,
}  # fmt: skip


def standing_alone(document: Any) -> Iterator[tuple[Party, Mapping[str, str], str]]:
    """The parties that know a document by itself, with the native documents that it makes and its field in them."""
    for name, (make, field) in _ALONE.items():
        if (made := make(document)) is not None:
            yield BY_NAME[name], made, field


def judged_alone(document: Any) -> Iterator[Finding]:
    """What parties say of a document by itself; paths are its own fields."""
    for judge in _JUDGED_ALONE.values():
        yield from judge(document)


def uploaded_keys(party: Party, access: Any) -> Iterator[tuple[str, str, str]]:
    """Key sets in a party's documents: where, the issuer that they are of, and their JSON text."""
    if (find := _UPLOADED.get(party.name)) is not None:
        yield from find(access)


def catalogue() -> tuple[Rule, ...]:
    """Every rule: the generic ones, then each party's."""
    return (*GENERIC, *(rule for party in PARTIES for rule in party.rules))
