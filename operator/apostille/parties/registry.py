"""The parties that this build knows. Adding one is a folder and a line here."""

from __future__ import annotations

from apostille.model.finding import Rule
from apostille.parties.aws.party import AWS
from apostille.parties.keycloak.party import Keycloak
from apostille.parties.minio.party import MinIO
from apostille.parties.oauth.party import OAuth
from apostille.parties.party import Party
from apostille.parties.vault.party import Vault
from apostille.rules.catalogue import GENERIC

PARTIES: tuple[Party, ...] = (AWS(), Keycloak(), MinIO(), OAuth(), Vault())

BY_NAME = {party.name: party for party in PARTIES}


def catalogue() -> tuple[Rule, ...]:
    """Every rule: the generic ones, then each party's."""
    return (*GENERIC, *(rule for party in PARTIES for rule in party.rules))
