"""Snowflake: service users with workload identities, logged in by the driver itself (cloud-trust §8)."""
