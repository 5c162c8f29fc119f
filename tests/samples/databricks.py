"""Databricks."""

from __future__ import annotations

from samples.bad_input import Bad
from samples.sample import Sample
from vendors import APPLICATIONS, HOST, databricks_binding, databricks_trust

_TARGETS = tuple({"databricks": {"applicationID": one}} for one in APPLICATIONS)
SAMPLES = {"Databricks": Sample(databricks_trust(), databricks_binding, _TARGETS)}
_OWN = {"audience": "https://own.example"}
BAD = {
    "a host with a slash at its end": Bad({"host": f"{HOST}/"}, _OWN),
    "a host without a scheme": Bad({"host": HOST.removeprefix("https://")}, _OWN),
    "the account's console": Bad({"host": "https://accounts.cloud.databricks.com"}, _OWN),
    "somebody else's host": Bad({"host": "https://databricks.example"}, _OWN),
    "an account by its name": Bad({"accountID": "acme"}),
    "a service principal by its number": Bad(target="70"),
    "an application id in upper case": Bad(target=APPLICATIONS[0].upper()),
    "a service principal that is not described": Bad(target="bbbbbbbb-bbbb-cccc-dddd-000000000000"),
}
