"""What a trust and a binding say about HCP."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from apostille.model.fields import doc

UUID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
NAME = "^[a-z0-9]([a-z0-9-]{1,34}[a-z0-9])$"  # 3 to 36 characters (cloud-trust §9)
API = "https://api.cloud.hashicorp.com"

Name = Annotated[str, Meta(pattern=NAME, max_length=36)]


class HCPTrust(Struct, frozen=True, forbid_unknown_fields=True):
    """The HCP project whose service principals accept this cluster's tokens."""

    project_id: Annotated[
        str, doc("projectID is the UUID of the project, in lower case.", pattern=UUID, max_length=36)
    ] = field(name="projectID")
    provider: Annotated[
        Name,
        doc("provider is the name of the workload identity provider that each bound service principal gets."),
    ]
    pin_instances: Annotated[
        bool,
        doc(
            "pinInstances also binds the UIDs of the service accounts: one that was deleted and made anew under the "
            "same name is refused until the documents are applied again."
        ),
    ] = field(name="pinInstances", default=False)

    def principal(self, name: str) -> str:
        """The resource name of a service principal of the project."""
        return f"iam/project/{self.project_id}/service-principal/{name}"

    def resource(self, name: str) -> str:
        """The resource name of that service principal's provider."""
        return f"{self.principal(name)}/workload-identity-provider/{self.provider}"


class HCPTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """The HCP service principal that the workload takes on."""

    service_principal: Annotated[
        Name, doc("servicePrincipal is the name of a service principal of the trust's project.")
    ] = field(name="servicePrincipal")
