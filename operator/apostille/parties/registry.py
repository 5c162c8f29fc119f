"""The parties that this build knows. Adding one is a folder and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from apostille.model.finding import Finding, Rule
from apostille.parties.aws import foreign as aws_documents
from apostille.parties.aws.party import AWS
from apostille.parties.databricks import rules as databricks_documents
from apostille.parties.databricks.party import Databricks
from apostille.parties.hcp import rules as hcp_documents
from apostille.parties.hcp.party import HCP
from apostille.parties.keycloak.party import Keycloak
from apostille.parties.minio.party import MinIO
from apostille.parties.party import Party
from apostille.parties.snowflake import rules as snowflake_documents
from apostille.parties.snowflake.party import Snowflake
from apostille.parties.vault import rules as vault_documents
from apostille.parties.vault.party import Vault
from apostille.rules.catalogue import GENERIC

PARTIES: tuple[Party, ...] = (AWS(), Databricks(), HCP(), Keycloak(), MinIO(), Snowflake(), Vault())

BY_NAME = {party.name: party for party in PARTIES}

# Rules on documents as they are read back by ``parse``, whoever wrote them.
_DOCUMENTS: Mapping[str, Callable[[Any], Iterable[Finding]]] = {
    AWS.name: aws_documents.documents,
    Databricks.name: databricks_documents.documents,
    HCP.name: hcp_documents.documents,
    Snowflake.name: snowflake_documents.documents,
    Vault.name: vault_documents.documents,
}


def document_findings(party: Party, access: Any) -> list[Finding]:
    """What is too broad, or can never work, in a party's own documents; paths are ``FILE:FIELD``."""
    judge = _DOCUMENTS.get(party.name)
    return list(judge(access)) if judge is not None else []


def catalogue() -> tuple[Rule, ...]:
    """Every rule: the generic ones, then each party's."""
    return (*GENERIC, *(rule for party in PARTIES for rule in party.rules))
