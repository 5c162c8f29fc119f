"""A real OpenBao on loopback: Vault's API and configuration file, another program."""

from __future__ import annotations

from apostille_testbed.parties.vault import VaultParty


class OpenBaoParty(VaultParty):
    """One OpenBao server with its own storage and root token; KV version 2 is mounted at ``secret``."""

    name = "openbao"
