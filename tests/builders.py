"""Declarations and pods for tests, as small as they can be; every builder takes what it should be told apart by."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

from apostille.core.judge import Context
from apostille.core.pod_plan import PodPlan, pod_plan
from apostille.core.resolve import World, resolve
from apostille.core.settings import ClusterSettings
from apostille.kinds import decode
from apostille.kinds.federation_trust import FederationTrust
from apostille.kinds.workload_binding import WorkloadBinding
from apostille.model.identity import Issuer, ServiceAccount

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
ACCOUNT = "123456789012"
AUDIENCE = "https://aws-prod.sts.example"
JWK = {"use": "sig", "kty": "RSA", "kid": "key-1", "alg": "RS256", "n": "sXch3qKx", "e": "AQAB"}
ISSUER = Issuer(
    "https://oidc.example.com/cluster-a",
    ("key-1",),
    ("https://kubernetes.default.svc", "api.internal"),
    jwks=json.dumps({"keys": [JWK]}),
)
CONTEXT = Context(issuer=ISSUER, own_namespace="apostille-system")
SETTINGS = ClusterSettings(
    own_namespace="apostille-system",
    client_config={"service": {"namespace": "apostille-system", "name": "apostille-admission", "port": 443}},
    ca_bundle="Q0E=",
)

Json = dict[str, Any]


def role(name: str, account: str = ACCOUNT, partition: str = "aws") -> str:
    """The ARN of a role."""
    return f"arn:{partition}:iam::{account}:role/{name}"


def allow(namespace: str = "payments", accounts: Sequence[str] = ("reader",), targets: Sequence[str] = ()) -> Json:
    """One entry of ``spec.allow``."""
    return {
        "namespace": namespace,
        "serviceAccounts": list(accounts),
        "targets": list(targets or [role("payments-reader")]),
    }


def raw_trust(name: str = "aws-prod", **spec: Any) -> Json:
    """A FederationTrust as the API server holds it; ``spec`` replaces whole fields, None drops one."""
    fields: Json = {
        "relyingParty": {"type": "AWS", "aws": {"accountID": ACCOUNT, "region": "eu-west-1"}},
        "audience": AUDIENCE,
        "allow": [allow()],
    } | spec
    return {
        "apiVersion": "apostille.dev/v1alpha1",
        "kind": "FederationTrust",
        "metadata": {"name": name, "uid": f"uid-{name}", "generation": 1},
        "spec": {key: value for key, value in fields.items() if value is not None},
    }


def raw_binding(name: str = "s3-reader", namespace: str = "payments", **spec: Any) -> Json:
    """A WorkloadBinding as the API server holds it."""
    fields: Json = {
        "trustRef": {"name": "aws-prod"},
        "subject": {"serviceAccountNames": ["reader"]},
        "target": {"aws": {"roleARN": role("payments-reader")}},
    } | spec
    return {
        "apiVersion": "apostille.dev/v1alpha1",
        "kind": "WorkloadBinding",
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", "generation": 1},
        "spec": {key: value for key, value in fields.items() if value is not None},
    }


def trust(name: str = "aws-prod", **spec: Any) -> FederationTrust:
    """A decoded FederationTrust."""
    return decode.federation_trust(raw_trust(name, **spec))


def binding(name: str = "s3-reader", namespace: str = "payments", **spec: Any) -> WorkloadBinding:
    """A decoded WorkloadBinding."""
    return decode.workload_binding(raw_binding(name, namespace, **spec))


def sidecar(name: str = "s3-files", **spec: Any) -> WorkloadBinding:
    """A binding that is delivered by the exchange sidecar."""
    return binding(name, **({"delivery": {"mode": "Sidecar"}} | spec))


def plan(of: WorkloadBinding | None = None, by: FederationTrust | None = None) -> PodPlan:
    """The plan of a binding under a trust."""
    return pod_plan(by or trust(), of or binding())


def world(trusts: Iterable[FederationTrust], bindings: Iterable[WorkloadBinding] = (), now: datetime = NOW) -> World:
    """Everything judged at ``now``."""
    return resolve(trusts, bindings, CONTEXT, now)


def pairs(*written: str) -> list[ServiceAccount]:
    """``namespace/name`` as service accounts."""
    return [ServiceAccount(*pair.split("/")) for pair in written]


def pod(*containers: Mapping[str, Any], annotations: Mapping[str, str] | None = None, **spec: Any) -> Json:
    """A pod of payments/reader as the API server hands it to a webhook."""
    metadata: Json = {"name": "web-0", "namespace": "payments"}
    if annotations is not None:
        metadata["annotations"] = dict(annotations)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {
            "serviceAccountName": "reader",
            "containers": [dict(c) for c in containers] or [{"name": "app", "image": "app:1"}],
        }
        | spec,
    }


def defaulted(injected: Mapping[str, Any]) -> Json:
    """The pod after the API server's defaulting and its ServiceAccount and LimitRanger plugins ran once more."""
    after = deepcopy(dict(injected))
    api_token = {
        "name": "kube-api-access-x7k2p",
        "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
        "readOnly": True,
    }
    for section in ("initContainers", "containers"):
        for container in after["spec"].get(section) or ():
            container.setdefault("terminationMessagePath", "/dev/termination-log")
            container.setdefault("terminationMessagePolicy", "File")
            container.setdefault("imagePullPolicy", "IfNotPresent")
            container.setdefault("resources", {}).setdefault("limits", {}).setdefault("cpu", "500m")
            if not container.get("volumeMounts"):
                container["volumeMounts"] = []
            if all(mount["mountPath"] != api_token["mountPath"] for mount in container["volumeMounts"]):
                container["volumeMounts"].append(dict(api_token))
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                if container.get(probe):
                    container[probe] = {"timeoutSeconds": 1, "successThreshold": 1} | container[probe]
    return after
