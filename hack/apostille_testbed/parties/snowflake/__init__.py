"""Snowflake as a relying party: users with workload identities, filled by SQL; the login as the judge."""

from apostille_testbed.parties.snowflake.account import SQLError
from apostille_testbed.parties.snowflake.party import Login, SnowflakeParty
from apostille_testbed.parties.stands import Stands

__all__ = ["STANDS", "Login", "SQLError", "SnowflakeParty"]

STANDS = Stands("Snowflake", "a strict judge that runs the rendered SQL", ("snowflake-connector-python",))
