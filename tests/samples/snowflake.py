"""Snowflake, with and without an authentication policy."""

from __future__ import annotations

from samples.bad_input import Bad
from samples.sample import Sample
from vendors import snowflake_binding, snowflake_trust

_TARGETS = tuple({"snowflake": {"user": name}} for name in ("PAYMENTS_READER", "A", "X_1"))
SAMPLES = {
    "Snowflake": Sample(snowflake_trust(), snowflake_binding, _TARGETS),
    "Snowflake without a policy": Sample(
        snowflake_trust(settings={"authenticationPolicy": ""}), snowflake_binding, _TARGETS
    ),
}
_OWN = {"audience": "https://own.example"}
BAD = {
    "an account by its URL": Bad({"account": "https://acme-prod.snowflakecomputing.com"}, _OWN),
    "an account with a slash at its end": Bad({"account": "acme-prod/"}, _OWN),
    "a policy that is not qualified": Bad({"authenticationPolicy": "CLUSTER_A"}),
    "a user in lower case": Bad(target="payments_reader"),
    "an administrator": Bad(target="ACCOUNTADMIN"),
}
