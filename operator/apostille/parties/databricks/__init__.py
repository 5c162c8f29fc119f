"""Databricks: federation policies of service principals, the token endpoint of a workspace (cloud-trust §7)."""
