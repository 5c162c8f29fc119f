"""Microsoft Entra: federated identity credentials and the token endpoint."""

from apostille_testbed.parties.entra.credentials import CredentialError
from apostille_testbed.parties.entra.party import EntraParty, Exchange
from apostille_testbed.parties.stands import Stands

__all__ = ["STANDS", "CredentialError", "EntraParty", "Exchange"]

STANDS = Stands(
    "Azure",
    "a strict Entra that judges credentials and answers with the vendor's codes",
    ("azure-identity",),
)
