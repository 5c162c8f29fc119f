"""HCP's side of the trust as documents: one workload identity provider for each service principal."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apostille.parties import shape

MAX_STATEMENT = 511  # characters of conditional_access (cloud-trust §9)
OR = " or "
_FILE = re.compile(r"provider-(?P<principal>[a-z0-9-]{3,36})\.json")


@dataclass(frozen=True, slots=True)
class HCPAccess:
    """``providers``: the documents themselves, by the name of their service principal."""

    providers: Mapping[str, Mapping[str, Any]]

    def canonical(self) -> bytes:
        """The rendered documents."""
        return json.dumps(render(self), sort_keys=True).encode()


def clause(subject: str, uid: str = "") -> str:
    """The part of a statement that admits one subject; with ``uid`` only that instance of it."""
    said = f"jwt_claims.sub == `{subject}`"
    return said + (f' and jwt_claims["kubernetes.io"].serviceaccount.uid == `{uid}`' if uid else "")


def provider(principal: str, name: str, issuer: str, audience: str, subjects: Mapping[str, str]) -> dict[str, Any]:
    """The body of a create request, and its parent: this issuer, this audience, exactly these subjects (with UIDs)."""
    return {
        "parent_resource_name": principal,
        "name": name,
        "provider": {
            "description": "Apostille: service accounts of a Kubernetes cluster",
            "conditional_access": OR.join(clause(subject, subjects[subject]) for subject in sorted(subjects)),
            "oidc_config": {"issuer_uri": issuer, "allowed_audiences": [audience]},
        },
    }


def file(principal: str) -> str:
    """The document of a service principal's provider."""
    return f"provider-{principal}.json"


def render(access: HCPAccess) -> dict[str, str]:
    """Native documents by file name."""
    return {file(name): json.dumps(access.providers[name], indent=2) + "\n" for name in sorted(access.providers)}


def parse(files: Mapping[str, str]) -> HCPAccess:
    """Reads what ``render`` writes, also when somebody edited it. Raises ValueError naming the file."""
    providers: dict[str, Mapping[str, Any]] = {}
    for name in sorted(files):
        if (match := _FILE.fullmatch(name)) is not None:
            providers[match["principal"]] = _document(files, name)
    return HCPAccess(providers)


_PROVIDER = {
    "parent_resource_name": str,
    "name": str,
    "provider": {"conditional_access": str, "oidc_config": {"issuer_uri": str, "allowed_audiences": [str]}},
}


def _document(files: Mapping[str, str], name: str) -> dict[str, Any]:
    document = shape.read(files, name, _PROVIDER)
    if "oidc_config" not in document.get("provider", {}):
        raise ValueError(f"{name}: must be an object with provider and its oidc_config")
    if not isinstance(document.get("parent_resource_name"), str) or not isinstance(document.get("name"), str):
        raise ValueError(f"{name}: must name the provider and its service principal")
    return document
