"""Snowflake as a relying party: users with workload identities, filled by SQL; the login as the judge."""

from apostille_testbed.parties.snowflake.account import SQLError
from apostille_testbed.parties.snowflake.party import Login, SnowflakeParty

__all__ = ["Login", "SQLError", "SnowflakeParty"]
