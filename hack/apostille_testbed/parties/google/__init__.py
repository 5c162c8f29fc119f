"""Google Cloud: workload identity pools, the Security Token Service, IAM credentials."""

from apostille_testbed.parties.google.party import Exchange, GoogleParty
from apostille_testbed.parties.google.pools import IAMError

__all__ = ["Exchange", "GoogleParty", "IAMError"]
