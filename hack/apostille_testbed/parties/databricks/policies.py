"""Federation policies as the account API takes them (api/account/serviceprincipalfederationpolicy; cloud-trust §7)."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MAX_POLICIES = 20  # of one service principal (docs: "Configure a service principal federation policy")
_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_READ_ONLY = frozenset({"name", "uid", "service_principal_id", "create_time", "update_time"})


class PolicyError(Exception):
    """What the account API refuses (INVALID_PARAMETER_VALUE, RESOURCE_LIMIT_EXCEEDED, RESOURCE_DOES_NOT_EXIST)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


@dataclass(frozen=True)
class Principal:
    """A service principal of the account: its numeric id, and the application id that clients present."""

    id: int
    application_id: str


@dataclass(frozen=True)
class Policy:
    """One ``oidc_policy``."""

    issuer: str
    audiences: tuple[str, ...]
    subject: str
    subject_claim: str


class Policies:
    """All policies of one account; thread-safe. Without ``audiences`` a policy accepts the account's id."""

    def __init__(self, account_id: str) -> None:
        self.account_id = account_id
        self._lock = threading.Lock()
        self._principals: dict[str, Principal] = {}
        self._policies: dict[int, dict[str, Policy]] = {}

    def add_principal(self, id: int, application_id: str) -> None:  # noqa: A002 - the API's name
        """Registers a service principal."""
        with self._lock:
            self._principals[application_id] = Principal(id, application_id)

    def principal(self, application_id: str) -> Principal | None:
        """The service principal with this application id."""
        with self._lock:
            return self._principals.get(application_id)

    def of(self, principal: Principal) -> tuple[Policy, ...]:
        """The policies of a service principal."""
        with self._lock:
            return tuple(self._policies.get(principal.id, {}).values())

    def create(self, id: int, policy_id: str, document: Mapping[str, Any]) -> None:  # noqa: A002 - the API's name
        """``POST …/servicePrincipals/{id}/federationPolicies?policy_id=``. Raises PolicyError."""
        made = _policy(document, self.account_id)
        if not _ID.fullmatch(policy_id):
            raise PolicyError("INVALID_PARAMETER_VALUE", f"policy_id {policy_id!r}")
        with self._lock:
            if all(principal.id != id for principal in self._principals.values()):
                raise PolicyError("RESOURCE_DOES_NOT_EXIST", f"service principal {id}")
            known = self._policies.setdefault(id, {})
            if policy_id not in known and len(known) >= MAX_POLICIES:
                raise PolicyError("RESOURCE_LIMIT_EXCEEDED", f"service principal {id} has {MAX_POLICIES} policies")
            known[policy_id] = made

    def load(self, files: Mapping[str, str]) -> None:
        """Replaces all policies by rendered documents, ``policy-*.json``. Raises PolicyError."""
        with self._lock:
            before, self._policies = self._policies, {}
        try:
            for name in sorted(files):
                if name.startswith("policy-") and name.endswith(".json"):
                    document = json.loads(files[name])
                    self.create(document.pop("service_principal_id"), document.pop("policy_id"), document)
        except Exception:
            with self._lock:
                self._policies = before
            raise

    def load_directory(self, folder: Path) -> None:
        """`load` of a folder's files."""
        self.load({file.name: file.read_text() for file in folder.iterdir() if file.is_file()})


def _policy(document: Mapping[str, Any], account_id: str) -> Policy:
    if unknown := sorted(set(document) - {"description", "oidc_policy"} - _READ_ONLY):
        raise PolicyError("INVALID_PARAMETER_VALUE", f"unknown field {unknown[0]}")
    oidc = document.get("oidc_policy")
    if not isinstance(oidc, Mapping):
        raise PolicyError("INVALID_PARAMETER_VALUE", "oidc_policy is required")
    if unknown := sorted(set(oidc) - {"issuer", "audiences", "subject", "subject_claim"}):
        # jwks_uri and jwks_json are for issuers that cannot be reached; this party reads discovery only.
        raise PolicyError("INVALID_PARAMETER_VALUE", f"unknown field oidc_policy.{unknown[0]}")
    issuer, subject = oidc.get("issuer"), oidc.get("subject")
    if not isinstance(issuer, str) or not issuer.startswith("https://"):
        raise PolicyError("INVALID_PARAMETER_VALUE", "oidc_policy.issuer must be an https URL")
    # Required for service principals, forbidden for account policies (docs: "Configure a federation policy").
    if not isinstance(subject, str) or not subject:
        raise PolicyError("INVALID_PARAMETER_VALUE", "oidc_policy.subject is required")
    audiences = oidc.get("audiences") or [account_id]
    if not isinstance(audiences, list) or not all(isinstance(one, str) and one for one in audiences):
        raise PolicyError("INVALID_PARAMETER_VALUE", "oidc_policy.audiences must be strings")
    return Policy(issuer, tuple(audiences), subject, str(oidc.get("subject_claim") or "sub"))
