"""OpenBao as a relying party: a real server, which is to answer as Vault does."""

from apostille_testbed.parties.openbao.party import OpenBaoParty
from apostille_testbed.parties.stands import Stands

__all__ = ["STANDS", "OpenBaoParty"]

STANDS = Stands("Vault", "a real OpenBao", ("hvac",), cluster="rotation")
