"""Databricks as a relying party: federation policies of service principals, the token endpoint of a workspace."""

from apostille_testbed.parties.databricks.party import DatabricksParty, Exchange
from apostille_testbed.parties.databricks.policies import PolicyError

__all__ = ["DatabricksParty", "Exchange", "PolicyError"]
