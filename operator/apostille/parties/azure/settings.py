"""What a trust and a binding say about Microsoft Entra."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from apostille.model.fields import ATOMIC, doc

Cloud = Literal["Public", "USGovernment", "China"]

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
MANAGED_IDENTITY = re.compile(
    rf"/subscriptions/(?P<subscription>{UUID})/resourceGroups/(?P<group>[\w.()-]{{1,90}})/providers/"
    r"Microsoft\.ManagedIdentity/userAssignedIdentities/(?P<name>[A-Za-z0-9][A-Za-z0-9_-]{2,127})",
    re.ASCII,
)
APPLICATION = re.compile(rf"/applications/(?P<object>{UUID})")

# Authority, audience that the vendor's own tools use, and the API that administers the cloud (cloud-trust §5.5).
_CLOUDS = {
    "Public": ("https://login.microsoftonline.com/", "api://AzureADTokenExchange", "https://management.azure.com"),
    "USGovernment": (
        "https://login.microsoftonline.us/", "api://AzureADTokenExchangeUSGov", "https://management.usgovcloudapi.net",
    ),
    "China": (
        "https://login.partner.microsoftonline.cn/", "api://AzureADTokenExchangeChina",
        "https://management.chinacloudapi.cn",
    ),
}  # fmt: skip

ClientID = Annotated[str, Meta(max_length=64, min_length=1)]


class AzureIdentity(Struct, frozen=True, forbid_unknown_fields=True):
    """An identity that workloads may take on."""

    client_id: Annotated[ClientID, doc("clientID is the identity's client (application) id, as bindings name it.")] = (
        field(name="clientID")
    )
    resource: Annotated[
        str,
        doc(
            "resource is where its federated credentials belong: the resource id of a user-assigned managed identity "
            "(/subscriptions/…/userAssignedIdentities/NAME), or /applications/OBJECTID of an application.",
            max_length=512,
            min_length=1,
        ),
    ]

    @property
    def is_application(self) -> bool:
        """An application's credentials are Graph's, a managed identity's the resource manager's."""
        return self.resource.startswith("/applications/")


class AzureTrust(Struct, frozen=True, forbid_unknown_fields=True):
    """The Entra tenant that accepts this cluster's tokens, and its identities."""

    tenant_id: Annotated[str, doc("tenantID is the directory (tenant) id.", max_length=64, min_length=1)] = field(
        name="tenantID"
    )
    identities: Annotated[
        tuple[AzureIdentity, ...],
        doc("identities are the targets that there are.", min_length=1, max_length=64),
        ATOMIC,
    ]
    cloud: Annotated[Cloud, doc("cloud is the one that the tenant is in.")] = "Public"

    @property
    def authority(self) -> str:
        """Where tokens are asked for, with a slash at the end as AZURE_AUTHORITY_HOST has it."""
        return _CLOUDS[self.cloud][0]

    @property
    def common_audience(self) -> str:
        """What the vendor's tools ask for."""
        return _CLOUDS[self.cloud][1]

    @property
    def management_scope(self) -> str:
        """The scope of the resource manager."""
        return f"{_CLOUDS[self.cloud][2]}/.default"

    def identity(self, client_id: str) -> AzureIdentity | None:
        """The declared identity of this client id."""
        return next((one for one in self.identities if one.client_id == client_id), None)


class AzureTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """The Entra identity that the workload takes on."""

    client_id: Annotated[ClientID, doc("clientID is the client id of one of the trust's identities.")] = field(
        name="clientID"
    )
    scope: Annotated[
        str,
        doc(
            "scope is the API, such as https://storage.azure.com/.default, that the token of the exchange sidecar is "
            "for; the resource manager's when omitted. SDKs ask for what they need by themselves.",
            max_length=512,
            pattern=r"^((https|api)://[^\s]+/\.default)?$",
        ),
    ] = ""


def is_uuid(value: str) -> bool:
    """Whether it is an id as Entra writes it."""
    return re.fullmatch(UUID, value) is not None
