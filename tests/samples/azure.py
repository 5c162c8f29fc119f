"""Microsoft Entra: managed identities and applications."""

from __future__ import annotations

from typing import Any

from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from builders import binding, trust
from samples.bad_input import Bad
from samples.sample import Sample

TENANT = "11111111-2222-3333-4444-555555555555"
READER, WRITER, APP = (f"{letter * 8}-0000-0000-0000-000000000000" for letter in "abc")
AUDIENCE = "api://azure-prod.example"


def managed(name: str) -> str:
    """The resource of a managed identity."""
    return (
        "/subscriptions/99999999-8888-7777-6666-555555555555/resourceGroups/rg-payments/providers/"
        f"Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
    )


IDENTITIES = [
    {"clientID": READER, "resource": managed("payments-reader")},
    {"clientID": WRITER, "resource": managed("payments-writer")},
    {"clientID": APP, "resource": f"/applications/{'d' * 8}-0000-0000-0000-000000000000"},
]


def azure_trust(name: str = "azure-prod", settings: dict[str, Any] | None = None, **spec: Any) -> FederationTrust:
    """A trust in Entra; ``settings`` replaces fields of its union member."""
    azure = {"tenantID": TENANT, "identities": IDENTITIES}
    given = {
        "relyingParty": {"type": "Azure", "azure": azure | (settings or {})},
        "audience": AUDIENCE,
        "allow": [{"namespace": "payments", "serviceAccounts": ["reader"], "targets": [READER, APP]}],
        "ceilings": {"sessionSeconds": 43200},
    }
    return trust(name, **(given | spec))


def azure_binding(
    name: str = "vault", namespace: str = "payments", client: str = READER, **spec: Any
) -> WorkloadBinding:
    """A binding to an identity."""
    target = {"azure": {"clientID": client}}
    return binding(name, namespace, **({"trustRef": {"name": "azure-prod"}, "target": target} | spec))


SAMPLES = {
    "Azure": Sample(
        azure_trust(), azure_binding, tuple({"azure": {"clientID": client}} for client in (READER, WRITER, APP))
    ),
}
BAD = {
    "a tenant by its domain": Bad({"tenantID": "acme.onmicrosoft.com"}),
    "an identity by its name": Bad({"identities": [{"clientID": "payments-reader", "resource": managed("reader")}]}),
    "an identity's resource by its name": Bad({"identities": [{"clientID": READER, "resource": "payments-reader"}]}),
    "a resource with a slash at its end": Bad({"identities": [{"clientID": READER, "resource": managed("reader/")}]}),
    "an identity described twice": Bad({"identities": [IDENTITIES[0], IDENTITIES[0]]}),
    "a target that is not described": Bad(target="99999999-0000-0000-0000-000000000000"),
    "a target by its resource": Bad(target=managed("payments-reader")),
}
