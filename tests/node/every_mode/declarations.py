"""What is declared: a trust a party, a binding a party and mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apostille_testbed.node.everybody import Parties
from node.every_mode.programs.values import (
    ACCOUNT,
    ALIBABA_ACCOUNT,
    ALIBABA_REGION,
    ALIBABA_ROLE,
    APPLICATION,
    BUCKET,
    CLIENT,
    DATABRICKS,
    EMAIL,
    HYDRA,
    KEYCLOAK,
    LATER,
    MINIO,
    MOUNT,
    NUMBER,
    OTHER,
    POOL,
    PRINCIPAL,
    PROJECT,
    PROVIDER,
    REALM,
    ROLE,
    SNOWFLAKE,
    SUBSCRIPTION,
    TENANT,
    USER,
    VAULT,
    VAULT_ROLE,
)
from node.every_mode.rows import JOBS, LIVES, LONG, ROWS


@dataclass(frozen=True)
class Declared:
    """A party in declarations: the trust's settings, and targets: the name in ``allow``, the binding's member."""

    settings: Callable[[Parties], dict[str, Any]]
    target: Callable[[str], tuple[str, dict[str, Any]]]
    """By mode; ``Lives`` is the pod's that lives."""
    other: tuple[str, dict[str, Any]] | None = None
    """The pod's that lives, later: at parties whose credentials have no short life."""


def _fixed(name: str, member: str) -> Callable[[str], tuple[str, dict[str, Any]]]:
    return lambda mode: (name, {member: name})


def _by_mode(name: str, member: str) -> Callable[[str], tuple[str, dict[str, Any]]]:
    """One of its own for the pod that lives: what it gives has a short life."""
    return lambda mode: _fixed(LIVES if mode == "Lives" else name, member)(mode)


def _google(mode: str) -> tuple[str, dict[str, Any]]:
    # The sidecar's credential is a federated one, the others go on to a service account.
    name = "direct" if mode in ("Sidecar", "Lives") else EMAIL
    return name, {"serviceAccount": name}


def _keycloak(mode: str) -> tuple[str, dict[str, Any]]:
    return mode.lower(), {"client": mode.lower()}


def _server(of: str, **settings: Any) -> Callable[[Parties], dict[str, Any]]:
    return lambda parties: {**settings, "caBundle": parties[of].ca.read_text()}


def _just(**settings: Any) -> Callable[[Parties], dict[str, Any]]:
    return lambda parties: settings


_IDENTITY = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/reader"
)
_POLICY = {
    "name": "ledger-reader",
    "statements": [{"actions": ["s3:ListBucket"], "resources": [f"arn:aws:s3:::{BUCKET}"]}],
}
_HYDRA_CLIENTS = [
    {"name": name, "clientID": name, "scopes": [scope]}
    for name, scope in (("api", "read"), (LIVES, "watch"), (LATER, "later"))
]
_VAULT_ROLES = [{"name": name, "policies": ["reader"]} for name in (VAULT_ROLE, LIVES)]

PARTIES: Mapping[str, Declared] = {
    "Alibaba": Declared(
        _just(accountID=ALIBABA_ACCOUNT, region=ALIBABA_REGION, provider=PROVIDER), _fixed(ALIBABA_ROLE, "roleARN")
    ),
    "AWS": Declared(_just(accountID=ACCOUNT, region="eu-west-1"), _fixed(ROLE, "roleARN"), (OTHER, {"roleARN": OTHER})),
    "Azure": Declared(
        _just(tenantID=TENANT, identities=[{"clientID": CLIENT, "resource": _IDENTITY}]), _fixed(CLIENT, "clientID")
    ),
    "Databricks": Declared(
        _just(accountID=TENANT, host=DATABRICKS, servicePrincipals=[{"applicationID": APPLICATION, "id": "70"}]),
        _fixed(APPLICATION, "applicationID"),
    ),
    "GCP": Declared(_just(projectNumber=NUMBER, pool=POOL, provider=PROVIDER, projectID="my-project"), _google),
    "HCP": Declared(_just(projectID=PROJECT, provider=PROVIDER), _fixed(PRINCIPAL, "servicePrincipal")),
    "Keycloak": Declared(_server("keycloak", address=KEYCLOAK, realm=REALM), _keycloak),
    "MinIO": Declared(_server("minio", endpoint=MINIO, policies=[_POLICY]), _fixed("ledger-reader", "policy")),
    "OAuth": Declared(
        _server("hydra", profile="Hydra", tokenEndpoint=f"{HYDRA}/oauth2/token", targets=_HYDRA_CLIENTS),
        _by_mode("api", "name"),
        (LATER, {"name": LATER}),
    ),
    "Snowflake": Declared(_just(account=SNOWFLAKE), _fixed(USER, "user")),
    "Vault": Declared(
        _server("vault", address=VAULT, mount=MOUNT, roles=_VAULT_ROLES),
        _by_mode(VAULT_ROLE, "role"),
    ),
}
"""By the kind of the relying party."""


def trust(kind: str, parties: Parties) -> dict[str, Any]:
    """Of everything here at one party."""
    declared = PARTIES[kind]
    modes = sorted({row.mode for row in ROWS if row.party == kind})
    spec: dict[str, Any] = {
        "relyingParty": {"type": kind, kind.lower(): declared.settings(parties)},
        "enforcement": {"mode": "Enforce"},
        "allow": [_allowed(JOBS, mode.lower(), declared.target(mode)[0]) for mode in modes],
    }
    if any(one.party == kind for one in LONG):
        spec["allow"].append(_allowed(LIVES, LIVES, declared.target("Lives")[0]))
    if declared.other:
        spec["allow"].append(_allowed(LIVES, LIVES, declared.other[0]))
    if kind == "AWS":
        spec["audience"] = "https://modes.sts.example"
    if kind == "OAuth":
        # Hydra takes the address that it was started with.
        spec["audience"] = parties["hydra"].token_endpoint
    return _object("FederationTrust", kind.lower(), "", spec)


def bindings() -> list[dict[str, Any]]:
    """One a party and mode, and one a party that lives."""
    made: dict[tuple[str, str], dict[str, Any]] = {}
    for row in ROWS:
        binding = made.setdefault(
            (JOBS, row.binding), _binding(row.binding, JOBS, row.mode, row.party, row.mode.lower(), row.mode)
        )
        binding["spec"]["delivery"]["containers"]["include"].append(row.name)
    for long in LONG:
        binding = made.setdefault(
            (LIVES, long.binding),
            _binding(long.binding, LIVES, "Lives", long.party, LIVES, long.mode, **long.delivery),
        )
        binding["spec"]["delivery"]["containers"]["include"].append(long.name)
    return list(made.values())


def subjects(kind: str) -> list[str]:
    """Who is bound at a party."""
    accounts = {(JOBS, row.mode.lower()) for row in ROWS if row.party == kind}
    accounts |= {(LIVES, LIVES) for long in LONG if long.party == kind}
    return [f"system:serviceaccount:{namespace}:{name}" for namespace, name in sorted(accounts)]


def _allowed(namespace: str, account: str, target: str) -> dict[str, Any]:
    return {"namespace": namespace, "serviceAccounts": [account], "targets": [target]}


def _binding(
    name: str, namespace: str, target: str, party: str, account: str, mode: str, **delivery: Any
) -> dict[str, Any]:
    member = PARTIES[party].target(target)[1]
    spec = {
        "trustRef": {"name": party.lower()},
        "subject": {"serviceAccountNames": [account]},
        "target": {party.lower(): member},
        "delivery": {"mode": mode, "containers": {"include": []}, **delivery},
    }
    return _object("WorkloadBinding", name, namespace, spec)


def _object(kind: str, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": "apostille.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}
