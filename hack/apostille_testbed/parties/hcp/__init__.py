"""HashiCorp Cloud Platform as a relying party: workload identity providers and their exchange."""

from apostille_testbed.parties.hcp.party import Exchange, HCPParty
from apostille_testbed.parties.hcp.providers import ProviderError
from apostille_testbed.parties.stands import Stands

__all__ = ["STANDS", "Exchange", "HCPParty", "ProviderError"]

STANDS = Stands("HCP", "a strict judge, whose statements HashiCorp's own go-bexpr evaluates; the unmodified SDK for Go")
