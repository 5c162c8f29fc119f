"""The two CustomResourceDefinitions; ``hack/apostille_generate`` writes them to ``crds/``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from apostille.kinds.federation_trust import FederationTrustSpec
from apostille.kinds.schema import structural
from apostille.kinds.status import FederationTrustStatus, WorkloadBindingStatus
from apostille.kinds.workload_binding import WorkloadBindingSpec
from apostille.model import names

Rules = Sequence[Mapping[str, str]]

_AGE = {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"}


def _column(name: str, path: str, kind: str = "string", priority: int = 0) -> dict[str, Any]:
    return {"name": name, "type": kind, "jsonPath": path} | ({"priority": priority} if priority else {})


def _condition(name: str, condition: str, field: str, priority: int = 0) -> dict[str, Any]:
    return _column(name, f'.status.conditions[?(@.type=="{condition}")].{field}', priority=priority)


def federation_trust() -> dict[str, Any]:
    """FederationTrust, cluster-scoped."""
    return _crd(
        kind=names.TRUST_KIND,
        plural=names.TRUST_PLURAL,
        short="ftrust",
        scope="Cluster",
        description=(
            "FederationTrust says that one relying party accepts this cluster's assertions for one audience, within "
            "ceilings, and who may bind to it. Platform teams own it."
        ),
        spec=FederationTrustSpec,
        spec_rules=[
            {
                "rule": "has(self.audience) == has(oldSelf.audience) && "
                "(!has(self.audience) || self.audience == oldSelf.audience)",
                "message": "audience is immutable: declare a new trust and move its bindings over",
                "fieldPath": ".audience",
                "reason": "FieldValueForbidden",
            },
            {
                "rule": "self.relyingParty.type == oldSelf.relyingParty.type",
                "message": "type is immutable: declare a new trust for another relying party",
                "fieldPath": ".relyingParty.type",
                "reason": "FieldValueForbidden",
            },
        ],
        status=FederationTrustStatus,
        name_rule=("size(self.metadata.name) <= 63", "the name of a FederationTrust has at most 63 characters"),
        columns=[
            _column("Party", ".spec.relyingParty.type"),
            _column("Audience", ".status.audience"),
            _condition("Enforced", "Enforced", "reason"),
            _condition("Configured", "Configured", "reason"),
            _column("Bindings", ".status.bindings.live", "integer"),
            _condition("Ready", "Ready", "status"),
            _condition("Reason", "Ready", "reason"),
            _AGE,
            _condition("Message", "Ready", "message", 1),
            _column("Issuer", ".status.issuer.url", priority=1),
        ],
    )


def workload_binding() -> dict[str, Any]:
    """WorkloadBinding, namespaced."""
    return _crd(
        kind=names.BINDING_KIND,
        plural=names.BINDING_PLURAL,
        short="wbind",
        scope="Namespaced",
        description=(
            "WorkloadBinding says which service accounts of its namespace take on which identity at the relying party "
            "of a FederationTrust. Application teams own it."
        ),
        spec=WorkloadBindingSpec,
        spec_rules=[],
        status=WorkloadBindingStatus,
        name_rule=(
            # Beside the folders of bindings lies the file `plan`.
            "size(self.metadata.name) <= 40 && self.metadata.name != 'plan' && "
            "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
            "the name of a WorkloadBinding is a DNS label of at most 40 characters, and not `plan`: "
            "volumes and files are named after it",
        ),
        columns=[
            _column("Trust", ".spec.trustRef.name"),
            _column("Target", ".status.target"),
            _column("Pods", ".status.pods.matched", "integer"),
            _column("Injected", ".status.pods.injected", "integer"),
            _column("Stale", ".status.pods.stale", "integer"),
            _column("Missing", ".status.pods.missing", "integer"),
            _condition("Ready", "Ready", "status"),
            _condition("Reason", "Ready", "reason"),
            _AGE,
            _condition("Message", "Ready", "message", 1),
            _column("Audience", ".status.audience", priority=1),
        ],
    )


def _crd(
    *,
    kind: str,
    plural: str,
    short: str,
    scope: str,
    description: str,
    spec: type[msgspec.Struct],
    spec_rules: Rules,
    status: type[msgspec.Struct],
    name_rule: tuple[str, str],
    columns: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    spec_schema = structural(spec)
    if spec_rules:
        spec_schema["x-kubernetes-validations"] = list(spec_rules)
    schema = {
        "description": description,
        "type": "object",
        "required": ["spec"],
        "x-kubernetes-validations": [
            {
                "rule": name_rule[0],
                "message": name_rule[1],
                "fieldPath": ".metadata.name",
                "reason": "FieldValueInvalid",
            }
        ],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            # A field path must lead to a declared field, and without one the refusal would speak of "<nil>".
            "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
            "spec": spec_schema,
            # Before the controller has looked there must be no doubt that it has not: kstatus (Flux) takes an object
            # without conditions for finished, and one whose observedGeneration is another for in progress.
            "status": {**structural(status, defaults=False), "default": {"observedGeneration": -1}},
        },
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{names.GROUP}", "labels": {"app.kubernetes.io/part-of": "apostille"}},
        "spec": {
            "group": names.GROUP,
            "scope": scope,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["apostille"],
            },
            "versions": [
                {
                    "name": names.VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [dict(column) for column in columns],
                }
            ],
        },
    }
