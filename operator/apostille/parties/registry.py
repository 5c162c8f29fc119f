"""The parties that this build knows. Adding one is a folder and a line here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from apostille.model.finding import Finding, Rule
from apostille.parties.alibaba.party import Alibaba
from apostille.parties.aws.party import AWS
from apostille.parties.azure.party import Azure
from apostille.parties.databricks.party import Databricks
from apostille.parties.gcp.party import GCP
from apostille.parties.hcp.party import HCP
from apostille.parties.keycloak.party import Keycloak
from apostille.parties.minio.party import MinIO
from apostille.parties.oauth.party import OAuth
from apostille.parties.party import GivenKeys, JudgesAlone, Party, StandsAlone
from apostille.parties.snowflake.party import Snowflake
from apostille.parties.vault.party import Vault
from apostille.rules.catalogue import GENERIC

PARTIES: tuple[Party, ...] = (
    Alibaba(), AWS(), Azure(), Databricks(), GCP(), HCP(), Keycloak(), MinIO(), OAuth(), Snowflake(), Vault(),
)  # fmt: skip

BY_NAME = {party.name: party for party in PARTIES}
_DOCUMENTS = re.compile("|".join(party.file_names for party in PARTIES))


def owner(audience: str, but: str) -> tuple[Party, bool] | None:
    """Whose audience it is known as, other than of the party ``but``, and whether it is a customer's of theirs."""
    lower = audience.lower()
    host = lower.removeprefix("https://").partition("/")[0].partition(":")[0]
    for party in PARTIES:
        for known in party.audiences if party.name != but else ():
            if known[0] == "." and host.endswith(known):
                return party, True
            if lower == known or (known[-1] == "/" and lower.startswith(known)):
                return party, False
    return None


def is_document(file: str) -> bool:
    """Whether some party's native documents bear such a name."""
    return _DOCUMENTS.fullmatch(file) is not None


def standing_alone(document: Any) -> Iterator[tuple[Party, Mapping[str, str], str]]:
    """The parties that know a document by itself, with the native documents that it makes and its field in them."""
    for party in PARTIES:
        if isinstance(party, StandsAlone) and (made := party.alone(document)) is not None:
            yield party, made, party.alone_field


def judged_alone(document: Any) -> Iterator[Finding]:
    """What parties say of a document by itself; paths are its own fields."""
    for party in PARTIES:
        if isinstance(party, JudgesAlone):
            yield from party.alone_findings(document)


def uploaded_keys(party: Party, access: Any) -> Iterator[tuple[str, str, str]]:
    """Key sets in a party's documents: where, the issuer that they are of, and their JSON text."""
    if isinstance(party, GivenKeys):
        yield from party.uploaded_keys(access)


def catalogue() -> tuple[Rule, ...]:
    """Every rule: the generic ones, then each party's."""
    return (*GENERIC, *(rule for party in PARTIES for rule in party.rules))
