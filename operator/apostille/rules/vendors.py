"""Audiences by which relying parties are known: a token for one of them is of use to it, and to no other."""

from __future__ import annotations

from collections.abc import Iterator

from apostille.model.finding import Finding
from apostille.rules.catalogue import AUD_FOREIGN

# Value, or prefix where it ends in a slash, and whose it is: vendors' defaults and resource names.
KNOWN = (
    ("sts.amazonaws.com", "Amazon Web Services"),
    ("api://", "Microsoft Entra"),
    ("//iam.googleapis.com/", "Google Cloud"),
    ("https://iam.googleapis.com/", "Google Cloud"),
    ("sts.googleapis.com", "Google Cloud"),
    ("snowflakecomputing.com", "Snowflake"),
    ("vault", "Vault"),
    ("iam/project/", "HCP"),
    ("https://api.cloud.hashicorp.com/", "HCP"),
)

# Hosts below which every name is a customer's at that vendor.
_DOMAINS = (
    ("snowflakecomputing.com", "Snowflake"),
    ("snowflakecomputing.cn", "Snowflake"),
    ("cloud.databricks.com", "Databricks"),
    ("gcp.databricks.com", "Databricks"),
    ("azuredatabricks.net", "Databricks"),
)


def foreign(value: str, path: str, own: str, party: str) -> Iterator[Finding]:
    """X-AUD-FOREIGN: the audience is known as another vendor's than ``own``; ``party`` is the declared one."""
    lower = value.lower()
    for known, owner in KNOWN:
        if owner != own and (lower == known or (known[-1] == "/" and lower.startswith(known))):
            yield AUD_FOREIGN.at(path, f"{value!r} is an audience of {owner}, the relying party is {party}")
    host = lower.removeprefix("https://").partition("/")[0].partition(":")[0]
    for domain, owner in _DOMAINS:
        if owner != own and host.endswith(f".{domain}"):
            yield AUD_FOREIGN.at(path, f"{value!r} is the address of a customer of {owner}, not of {party}")
