"""Google Cloud: direct access and impersonation, by name and by instance."""

from __future__ import annotations

from typing import Any

from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from builders import binding, trust
from samples.bad_input import Bad
from samples.sample import Sample

READER = "reader@my-project.iam.gserviceaccount.com"
NUMBER = "123456789012"
PROVIDER_NAME = f"projects/{NUMBER}/locations/global/workloadIdentityPools/k8s-prod/providers/cluster-a"


def gcp_trust(name: str = "gcp-prod", settings: dict[str, Any] | None = None, **spec: Any) -> FederationTrust:
    """A trust in Google Cloud; ``settings`` replaces fields of its union member."""
    gcp = {"projectNumber": NUMBER, "pool": "k8s-prod", "provider": "cluster-a", "projectID": "my-project"}
    given = {
        "relyingParty": {"type": "GCP", "gcp": gcp | (settings or {})},
        "audience": None,
        "allow": [{"namespace": "payments", "serviceAccounts": ["reader"], "targets": [READER, "direct"]}],
    }
    return trust(name, **(given | spec))


def gcp_binding(
    name: str = "ledger", namespace: str = "payments", account: str = READER, **spec: Any
) -> WorkloadBinding:
    """A binding to a Google service account, or to none."""
    target = {"gcp": {"serviceAccount": account}}
    return binding(name, namespace, **({"trustRef": {"name": "gcp-prod"}, "target": target} | spec))


_TARGETS = tuple(
    {"gcp": {"serviceAccount": account}} for account in (READER, "direct", READER.replace("reader", "writer"))
)
SAMPLES = {
    "GCP": Sample(gcp_trust(), gcp_binding, _TARGETS),
    "GCP with instances": Sample(gcp_trust(settings={"pinInstances": True}), gcp_binding, _TARGETS),
}
BAD = {
    "a project by its id": Bad({"projectNumber": "my-project"}),
    "a project's number with a slash": Bad({"projectNumber": f"{NUMBER}/"}),
    "a pool in upper case": Bad({"pool": "K8S-prod"}),
    "a pool by its resource name": Bad({"pool": PROVIDER_NAME}),
    "another provider's audience": Bad(spec={"audience": f"https://iam.googleapis.com/{PROVIDER_NAME}-2"}),
    "an account by its name": Bad(target="reader"),
    "an account by its principal": Bad(target=f"serviceAccount:{READER}"),
}
