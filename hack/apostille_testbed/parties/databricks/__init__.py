"""Databricks as a relying party: federation policies of service principals, the token endpoint of a workspace."""

from apostille_testbed.parties.databricks.party import DatabricksParty, Exchange
from apostille_testbed.parties.databricks.policies import PolicyError
from apostille_testbed.parties.stands import Stands

__all__ = ["STANDS", "DatabricksParty", "Exchange", "PolicyError"]

STANDS = Stands("Databricks", "a strict judge of issuer, signature, time, audience and subject", ("databricks-sdk",))
