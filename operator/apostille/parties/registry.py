"""The parties that this build knows. Adding one is a folder and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from apostille.model.finding import Finding, Rule
from apostille.parties.aws import bare as aws_bare
from apostille.parties.aws import foreign as aws_documents
from apostille.parties.aws.party import AWS
from apostille.parties.azure import rules as azure_documents
from apostille.parties.azure.party import Azure
from apostille.parties.databricks import rules as databricks_documents
from apostille.parties.databricks.party import Databricks
from apostille.parties.gcp import rules as gcp_documents
from apostille.parties.gcp.party import GCP
from apostille.parties.hcp import rules as hcp_documents
from apostille.parties.hcp.party import HCP
from apostille.parties.keycloak import rules as keycloak_documents
from apostille.parties.keycloak.party import Keycloak
from apostille.parties.minio.party import MinIO
from apostille.parties.oauth import rules as oauth_documents
from apostille.parties.oauth.party import OAuth
from apostille.parties.party import Party
from apostille.parties.snowflake import rules as snowflake_documents
from apostille.parties.snowflake.party import Snowflake
from apostille.parties.vault import rules as vault_documents
from apostille.parties.vault.party import Vault
from apostille.rules.catalogue import GENERIC

PARTIES: tuple[Party, ...] = (
    AWS(), Azure(), Databricks(), GCP(), HCP(), Keycloak(), MinIO(), OAuth(), Snowflake(), Vault(),
)  # fmt: skip

BY_NAME = {party.name: party for party in PARTIES}

# Rules on documents as they are read back by ``parse``, whoever wrote them.
_DOCUMENTS: Mapping[str, Callable[[Any], Iterable[Finding]]] = {
    AWS.name: aws_documents.documents,
    Azure.name: azure_documents.judged,
    GCP.name: gcp_documents.judged,
    Databricks.name: databricks_documents.documents,
    HCP.name: hcp_documents.documents,
    Keycloak.name: keycloak_documents.documents,
    OAuth.name: oauth_documents.documents,
    Snowflake.name: snowflake_documents.documents,
    Vault.name: vault_documents.documents,
}


def document_findings(party: Party, access: Any) -> list[Finding]:
    """What is too broad, or can never work, in a party's own documents; paths are ``FILE:FIELD``."""
    judge = _DOCUMENTS.get(party.name)
    return list(judge(access)) if judge is not None else []


# Documents that people keep alone: what makes native documents of one, and the field in which it stands there.
_ALONE: Mapping[str, tuple[Callable[[Any], Mapping[str, str] | None], str]] = {
    AWS.name: (aws_bare.documents, aws_bare.PREFIX),
}


def standing_alone(document: Any) -> Iterator[tuple[Party, Mapping[str, str], str]]:
    """The parties that know a document by itself, with the native documents that it makes and its field in them."""
    for name, (make, field) in _ALONE.items():
        if (made := make(document)) is not None:
            yield BY_NAME[name], made, field


def catalogue() -> tuple[Rule, ...]:
    """Every rule: the generic ones, then each party's."""
    return (*GENERIC, *(rule for party in PARTIES for rule in party.rules))
