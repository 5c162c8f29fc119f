"""Snowflake: who one is in a session."""

import snowflake.connector

from .given import token
from .values import SNOWFLAKE


def sdk(**settings):
    """The connector finds account and credential."""
    return snowflake.connector.connect(**settings).cursor().execute("select current_user()").fetchone()[0]


def by_hand():
    """The connector, told everything."""
    kind = {"authenticator": "WORKLOAD_IDENTITY", "workload_identity_provider": "OIDC"}
    return sdk(account=SNOWFLAKE, token=token(), **kind)
