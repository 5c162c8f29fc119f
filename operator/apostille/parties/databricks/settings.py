"""What a trust and a binding say about Databricks."""

from __future__ import annotations

import re
from typing import Annotated

from msgspec import Meta, Struct, field

from apostille.model.fields import ATOMIC, doc

UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

# Hosts of workspaces → host of the account console of the same cloud (databricks-sdk, environment.py).
CLOUDS = {
    ".cloud.databricks.com": "accounts.cloud.databricks.com",
    ".gcp.databricks.com": "accounts.gcp.databricks.com",
    ".azuredatabricks.net": "accounts.azuredatabricks.net",
    ".databricks.azure.us": "accounts.databricks.azure.us",
    ".databricks.azure.cn": "accounts.databricks.azure.cn",
    ".cloud.databricks.us": "accounts.cloud.databricks.us",
}

ApplicationID = Annotated[str, Meta(pattern=UUID, max_length=36)]


class ServicePrincipal(Struct, frozen=True, forbid_unknown_fields=True):
    """A service principal under both of its names."""

    application_id: Annotated[
        ApplicationID,
        doc("applicationID is the UUID by which bindings, spec.allow and clients name the service principal."),
    ] = field(name="applicationID")
    id: Annotated[
        str,
        doc(
            "id is the number of the service principal in the account, which its federation policies belong to.",
            pattern="^[0-9]{1,20}$",
            max_length=20,
        ),
    ]


class DatabricksTrust(Struct, frozen=True, forbid_unknown_fields=True):
    """The Databricks workspace that accepts this cluster's tokens, and the account that it belongs to."""

    account_id: Annotated[
        str, doc("accountID is the UUID of the account, in lower case.", pattern=UUID, max_length=36)
    ] = field(name="accountID")
    host: Annotated[
        str,
        doc(
            "host is the workspace's URL without a path, such as https://dbc-a1b2345c-d6e7.cloud.databricks.com.",
            max_length=255,
            min_length=1,
        ),
    ]
    service_principals: Annotated[
        tuple[ServicePrincipal, ...],
        doc(
            "servicePrincipals are those that bindings may take on, under both of their names.",
            min_length=1,
            max_length=256,
        ),
        ATOMIC,
    ] = field(name="servicePrincipals")

    @property
    def token_endpoint(self) -> str:
        """Where tokens are exchanged."""
        return f"{self.host}/oidc/v1/token"

    def number(self, application_id: str) -> str:
        """The number of a service principal; empty where the trust does not describe it."""
        return next((one.id for one in self.service_principals if one.application_id == application_id), "")


class DatabricksTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """The Databricks service principal that the workload takes on."""

    application_id: Annotated[ApplicationID, doc("applicationID is the service principal's UUID, in lower case.")] = (
        field(name="applicationID")
    )


def console(host: str) -> str:
    """The account console's host for a workspace's URL; empty where it is no workspace's."""
    name = host.removeprefix("https://")
    return next((console for suffix, console in CLOUDS.items() if name.endswith(suffix) and name != console), "")


def is_workspace(host: str) -> bool:
    """Whether it is the URL of a workspace as the SDKs take it: https, a vendor's host, nothing else."""
    return re.fullmatch(r"https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?", host) is not None and bool(console(host))
