"""Databricks."""

from __future__ import annotations

from samples.sample import Sample
from vendors import APPLICATIONS, databricks_binding, databricks_trust

_TARGETS = tuple({"databricks": {"applicationID": one}} for one in APPLICATIONS)
SAMPLES = {"Databricks": Sample(databricks_trust(), databricks_binding, _TARGETS)}
