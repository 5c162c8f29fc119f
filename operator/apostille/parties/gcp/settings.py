"""What a trust and a binding say about Google Cloud."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from msgspec import Struct, field

from apostille.model.fields import doc

Keys = Literal["Discovery", "Uploaded"]

DIRECT = "direct"
SERVICE_ACCOUNT = re.compile(
    r"(?P<name>[a-z]([a-z0-9-]{4,28}[a-z0-9]))@(?P<project>[a-z][a-z0-9.:-]{4,60}[a-z0-9])\.iam\.gserviceaccount\.com"
)
PROJECT_NUMBER = re.compile(r"[1-9][0-9]{0,18}")
POOL_ID = re.compile(r"(?!gcp-)[a-z0-9-]{4,32}")

IAM = "//iam.googleapis.com/"


class GCPTrust(Struct, frozen=True, forbid_unknown_fields=True):
    """The workload identity pool and provider that accept this cluster's tokens."""

    project_number: Annotated[
        str,
        doc(
            "projectNumber is the number, not the id, of the project that holds the pool.", max_length=64, min_length=1
        ),
    ] = field(name="projectNumber")
    pool: Annotated[str, doc("pool is the id of the workload identity pool.", max_length=64, min_length=1)]
    provider: Annotated[
        str, doc("provider is the id of the provider for this cluster in the pool.", max_length=64, min_length=1)
    ]
    project_id: Annotated[
        str,
        doc(
            "projectID is the project in which workloads use Google's APIs, for their SDKs (GOOGLE_CLOUD_PROJECT).",
            max_length=64,
            pattern="^([a-z][a-z0-9.:-]{4,60}[a-z0-9])?$",
        ),
    ] = field(name="projectID", default="")
    keys: Annotated[
        Keys,
        doc(
            "keys says how Google learns the cluster's keys. Discovery: from the issuer's URL, which it must reach. "
            "Uploaded: they are part of the rendered provider, which must be applied again before the cluster signs "
            "with new ones."
        ),
    ] = "Discovery"
    pin_instances: Annotated[
        bool,
        doc(
            "pinInstances also demands the UIDs of the service accounts: one that was deleted and made anew under the "
            "same name is refused until the documents are applied again."
        ),
    ] = field(name="pinInstances", default=False)

    @property
    def pool_name(self) -> str:
        """The pool's resource name, relative to the API."""
        return f"projects/{self.project_number}/locations/global/workloadIdentityPools/{self.pool}"

    @property
    def provider_name(self) -> str:
        """The provider's resource name, relative to the API."""
        return f"{self.pool_name}/providers/{self.provider}"


class GCPTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """The Google identity that the workload takes on."""

    service_account: Annotated[
        str,
        doc(
            "serviceAccount is the email of the service account to impersonate, such as "
            "reader@my-project.iam.gserviceaccount.com, or `direct`: the workload is a principal of its own, to which "
            "roles are granted directly.",
            max_length=128,
            min_length=1,
        ),
    ] = field(name="serviceAccount")
