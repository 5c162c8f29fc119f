"""HashiCorp Cloud Platform as a relying party: workload identity providers and their exchange."""

from apostille_testbed.parties.hcp.party import Exchange, HCPParty
from apostille_testbed.parties.hcp.providers import ProviderError

__all__ = ["Exchange", "HCPParty", "ProviderError"]
