"""Snowflake, with and without an authentication policy."""

from __future__ import annotations

from samples.sample import Sample
from vendors import snowflake_binding, snowflake_trust

_TARGETS = tuple({"snowflake": {"user": name}} for name in ("PAYMENTS_READER", "A", "X_1"))
SAMPLES = {
    "Snowflake": Sample(snowflake_trust(), snowflake_binding, _TARGETS),
    "Snowflake without a policy": Sample(
        snowflake_trust(settings={"authenticationPolicy": ""}), snowflake_binding, _TARGETS
    ),
}
