"""Vault as a relying party: a real server."""

from apostille_testbed.parties.vault.party import Answer, VaultParty

__all__ = ["Answer", "VaultParty"]
