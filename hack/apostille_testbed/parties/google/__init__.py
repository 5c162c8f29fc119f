"""Google Cloud: workload identity pools, the Security Token Service, IAM credentials."""

from apostille_testbed.parties.google.party import Exchange, GoogleParty
from apostille_testbed.parties.google.pools import IAMError
from apostille_testbed.parties.stands import Stands

__all__ = ["STANDS", "Exchange", "GoogleParty", "IAMError"]

STANDS = Stands("GCP", "a strict Security Token Service and IAM credentials, in the vendor's order", ("google-auth",))
