"""Declarations for Databricks, HCP and Snowflake."""

from __future__ import annotations

from typing import Any

from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from builders import binding, trust

ACCOUNT = "11111111-2222-3333-4444-555555555555"
HOST = "https://dbc-a1b2345c-d6e7.cloud.databricks.com"
APPLICATIONS = tuple(f"aaaaaaaa-bbbb-cccc-dddd-00000000000{i}" for i in range(3))
PROJECT = "99999999-8888-7777-6666-555555555555"


def _trust(
    kind: str, target: str, name: str, settings: dict[str, Any], changes: dict[str, Any], spec: dict[str, Any]
) -> FederationTrust:
    given = {
        "relyingParty": {"type": kind, kind.lower(): settings | changes},
        "audience": None,
        "allow": [{"namespace": "payments", "serviceAccounts": ["reader"], "targets": [target]}],
    }
    return trust(name, **(given | spec))


def databricks_trust(name: str = "dbx-prod", settings: dict[str, Any] | None = None, **spec: Any) -> FederationTrust:
    """A trust in a Databricks workspace; ``settings`` replaces fields of its union member."""
    principals = [{"applicationID": one, "id": str(70 + i)} for i, one in enumerate(APPLICATIONS)]
    own = {"accountID": ACCOUNT, "host": HOST, "servicePrincipals": principals}
    return _trust("Databricks", APPLICATIONS[0], name, own, settings or {}, spec)


def hcp_trust(name: str = "hcp-prod", settings: dict[str, Any] | None = None, **spec: Any) -> FederationTrust:
    """A trust in an HCP project."""
    return _trust("HCP", "payments-reader", name, {"projectID": PROJECT, "provider": "cluster-a"}, settings or {}, spec)


def snowflake_trust(name: str = "snow-prod", settings: dict[str, Any] | None = None, **spec: Any) -> FederationTrust:
    """A trust in a Snowflake account."""
    own = {"account": "acme-prod", "authenticationPolicy": "SECURITY.POLICIES.CLUSTER_A"}
    return _trust("Snowflake", "PAYMENTS_READER", name, own, settings or {}, spec)


def _binding(
    trust_name: str, target: dict[str, Any], name: str, namespace: str, spec: dict[str, Any]
) -> WorkloadBinding:
    return binding(name, namespace, **({"trustRef": {"name": trust_name}, "target": target} | spec))


def databricks_binding(
    name: str = "lake", namespace: str = "payments", application: str = APPLICATIONS[0], **spec: Any
) -> WorkloadBinding:
    """A binding to a service principal of Databricks."""
    return _binding("dbx-prod", {"databricks": {"applicationID": application}}, name, namespace, spec)


def hcp_binding(
    name: str = "hcp", namespace: str = "payments", principal: str = "payments-reader", **spec: Any
) -> WorkloadBinding:
    """A binding to a service principal of HCP."""
    return _binding("hcp-prod", {"hcp": {"servicePrincipal": principal}}, name, namespace, spec)


def snowflake_binding(
    name: str = "dwh", namespace: str = "payments", user: str = "PAYMENTS_READER", **spec: Any
) -> WorkloadBinding:
    """A binding to a Snowflake user."""
    return _binding("snow-prod", {"snowflake": {"user": user}}, name, namespace, spec)
