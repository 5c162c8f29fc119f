"""Microsoft Entra: federated identity credentials and the token endpoint."""

from apostille_testbed.parties.entra.credentials import CredentialError
from apostille_testbed.parties.entra.party import EntraParty, Exchange

__all__ = ["CredentialError", "EntraParty", "Exchange"]
