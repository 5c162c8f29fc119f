"""Who is told early: the webhooks that warn of pods and workloads, and the one that watches token requests.

They refuse nothing and hold up nobody (``Ignore``); what refuses are the policies. Asked about are pods and templates
that project a token for a protected audience, templates of bound service accounts, debug containers that mount an
identity, and — where a trust asks for it — token requests for its audience.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from apostille.core.selection import (
    HOLDS_IDENTITY,
    SHARD_CODE_POINTS,
    Pairs,
    cel_list,
    cel_string,
    client_config,
    metadata,
    pairs_expression,
    sharded,
)
from apostille.core.settings import ClusterSettings
from apostille.model import names

EARLY_TIMEOUT = 2

# The spec of the pod, or of the pods to come. A ReplicaSet is a Deployment's, whose author has been told.
_PODS: Mapping[str, Any] = {
    "apiGroups": [""],
    "apiVersions": ["v1"],
    "operations": ["CREATE"],
    "resources": ["pods"],
    "scope": "Namespaced",
}
_TEMPLATES: Sequence[Mapping[str, Any]] = (
    {
        "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
        "resources": ["deployments", "statefulsets", "daemonsets"], "scope": "Namespaced",
    },
    {
        "apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
        "resources": ["jobs", "cronjobs"], "scope": "Namespaced",
    },
)  # fmt: skip
_SPEC = (
    "(request.kind.kind == 'Pod' ? {o}.spec : request.kind.kind == 'CronJob' ? {o}.spec.jobTemplate.spec.template.spec "
    ": {o}.spec.template.spec)"
)
_CHANGED = {
    "name": "changed",
    "expression": f"oldObject == null || {_SPEC.format(o='oldObject')} != {_SPEC.format(o='object')}",
}

Document = dict[str, Any]


def audience_webhooks(guarded: Collection[str], observed: Collection[str], settings: ClusterSettings) -> list[Document]:
    """For users of these audiences; empty without any. ``observed`` are those whose token requests are watched."""
    webhooks = []
    literal = cel_list(sorted(guarded))
    if guarded and len(literal) <= SHARD_CODE_POINTS:
        token = "has(t.serviceAccountToken) && has(t.serviceAccountToken.audience)"  # noqa: S105 - CEL
        uses = (
            # What we inject ourselves needs no second look.
            f"[{_SPEC.format(o='object')}].exists(s, has(s.volumes) && s.volumes.exists(v, has(v.projected) && "
            f"!v.name.startsWith({cel_string(names.TOKEN_VOLUME_PREFIX)}) && "
            f"has(v.projected.sources) && v.projected.sources.exists(t, {token} && "
            f"t.serviceAccountToken.audience in {literal})))"
        )
        conditions = [{"name": "protected-audience", "expression": uses}, _CHANGED]
        webhooks.append(_early("audiences", [_PODS, *_TEMPLATES], conditions, "/validate/pods", settings))
        mounts = (
            "has(object.spec.ephemeralContainers) && object.spec.ephemeralContainers.exists(c, has(c.volumeMounts) && "
            f"c.volumeMounts.exists(m, {HOLDS_IDENTITY}))"
        )
        debug = {**_PODS, "operations": ["UPDATE"], "resources": ["pods/ephemeralcontainers"]}
        webhooks.append(
            _early("debug", [debug], [{"name": "identity", "expression": mounts}], "/validate/pods", settings)
        )
    literal = cel_list(sorted(observed))
    if observed and len(literal) <= SHARD_CODE_POINTS:
        asked = {**_PODS, "resources": ["serviceaccounts/token"]}
        conditions = [
            {"name": "observed", "expression": f"object.spec.audiences.exists(a, a in {literal})"},
            # What a kubelet asks for stands in a pod, where it is counted.
            {"name": "not-a-kubelet", "expression": "!('system:nodes' in request.userInfo.groups)"},
        ]
        webhooks.append(_early("tokens", [asked], conditions, "/observe", settings) | {"sideEffects": "NoneOnDryRun"})
    return [_configuration(names.AUDIENCES_WEBHOOKS, webhooks, settings)] if webhooks else []


def workload_webhooks(bound: Pairs, settings: ClusterSettings) -> list[Document]:
    """For templates whose pods will be injected: what would be refused or left out then is said now."""
    documents = []
    for number, pairs in enumerate(sharded(bound)):
        conditions = [
            {
                "name": "pairs",
                "expression": pairs_expression(pairs, _SPEC.format(o="object") + ".serviceAccountName",
                                               f"has({_SPEC.format(o='object')}.serviceAccountName)"),
            },
            _CHANGED,
        ]  # fmt: skip
        webhook = _early("workloads", _TEMPLATES, conditions, "/validate/pods", settings)
        selector = {
            "key": "kubernetes.io/metadata.name",
            "operator": "In",
            "values": sorted({pair.namespace for pair in pairs}),
        }
        webhook["namespaceSelector"] = {"matchExpressions": [selector]}
        documents.append(_configuration(f"{names.WORKLOADS_PREFIX}{number}", [webhook], settings))
    return documents


def _configuration(name: str, webhooks: Sequence[Document], settings: ClusterSettings) -> Document:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": metadata(name, settings) | {"labels": {names.MANAGED_LABEL: names.MANAGED_LATER}},
        "webhooks": list(webhooks),
    }


def _early(
    name: str,
    rules: Sequence[Mapping[str, Any]],
    conditions: Sequence[Mapping[str, str]],
    path: str,
    settings: ClusterSettings,
) -> Document:
    excluded = sorted((*names.SYSTEM_NAMESPACES, settings.own_namespace))
    return {
        "name": f"{name}.{names.GROUP}",
        "admissionReviewVersions": ["v1"],
        "clientConfig": client_config(path, settings),
        "failurePolicy": "Ignore",
        "timeoutSeconds": EARLY_TIMEOUT,
        "sideEffects": "None",
        "matchPolicy": "Equivalent",
        "rules": [dict(rule) for rule in rules],
        "namespaceSelector": {
            "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": excluded}]
        },
        "objectSelector": {},
        "matchConditions": [dict(condition) for condition in conditions],
    }
