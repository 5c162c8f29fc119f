"""Vault as a relying party: a real server."""

from apostille_testbed.parties.stands import Stands
from apostille_testbed.parties.vault.party import Answer, VaultParty

__all__ = ["STANDS", "Answer", "VaultParty"]

STANDS = Stands("Vault", "a real Vault", ("hvac",), cluster="rotation")
