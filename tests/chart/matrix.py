"""One other choice for every value of the chart, and where it acts only beside others, those."""

from __future__ import annotations

from typing import Any

import yaml

from apostille_testbed.chart import ROOT
from chart.rendering import Values, overlaid

DIGEST = f"sha256:{'a' * 64}"
_TERM = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
_PROCESS: dict[str, Any] = {
    "replicas": 1,
    "logLevel": "debug",
    "port": 10260,
    "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"cpu": "1500m"}},
    "disruptionBudget": False,
    "podAnnotations": {"team.example/note": "yes"},
    "podLabels": {"team.example/label": "yes"},
    "serviceAccountAnnotations": {"team.example/account": "yes"},
    "nodeSelector": {"kubernetes.io/os": "linux"},
    "tolerations": [{"key": "infra", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [_TERM]}},
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 50,
                    "podAffinityTerm": {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "noisy"}}},
                }
            ]
        },
    },
    "topologySpreadConstraints": [
        {
            "maxSkew": 2,
            "topologyKey": "rack",
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "apostille"}},
        }
    ],
    "extraArgs": ["--allow-loopback"],
    "extraEnv": [
        {"name": "PLAIN", "value": "1"},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
    ],
    "extraVolumes": [{"name": "more", "configMap": {"name": "more"}}],
    "extraVolumeMounts": [{"name": "more", "mountPath": "/more", "readOnly": True}],
}

OTHERWISE: dict[str, Any] = {
    "image": {
        "registry": "registry.example/platform/",
        "repository": "apostille-fips",
        "tag": "9",
        "digest": DIGEST,
        "pullPolicy": "Always",
        "pullSecrets": [{"name": "pull"}],
    },
    "exchange": {
        "image": {"registry": "registry.example", "repository": "exchange-fips", "tag": "9", "digest": DIGEST},
        "pullSecret": {"dockerConfigJSON": "{}", "namespaces": ["payments", "shop"]},
        "metricsPort": 9400,
    },
    "crds": {"enabled": False, "keep": False},
    "certificate": {
        "mode": "cert-manager",
        "issuerRef": {"name": "corporate", "kind": "ClusterIssuer", "group": "issuers.example"},
        "secretName": "other",
        "validityDays": 30,
    },
    "controller": {**_PROCESS, "shards": 2, "repair": True},
    "admission": {**_PROCESS, "hostNetwork": True},
    "rules": {"APO302": "deny", "APO703": "off"},
    "partyAddresses": ["vault.example", "10.0.0.0/8"],
    "egress": {"proxy": {"https": "proxy.example:3128", "noProxy": [".corp.example", "10.0.0.0/8"]}},
    "priorityClassName": "system-cluster-critical",
    "priorityClass": {"create": True, "value": 1000},
    "podSecurityContext": {"runAsUser": 65532, "fsGroup": 65532},
    "commonLabels": {"cost": "platform"},
    "networkPolicy": {
        "enabled": True,
        "apiServerCIDRs": ["10.0.0.1/32", "fd00::1/128"],
        "apiServerPorts": [6443],
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
    },
    "serviceMonitor": {"enabled": True, "interval": "30s", "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}, "disabled": ["ApostilleRefusals"]},
    "dashboard": {"enabled": True, "labels": {"grafana": "yes"}, "annotations": {"grafana_folder": "Platform"}},
    "rbac": {
        "aggregate": False,
        "platformSubjects": [
            {"kind": "Group", "name": "platform"},
            {"kind": "ServiceAccount", "name": "gitops", "namespace": "flux-system"},
        ],
    },
    "extraObjects": [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "more"}, "data": {"a": "b"}}],
}
"""Every value, chosen otherwise than by default."""

BESIDE: dict[str, Values] = {
    "exchange.pullSecret.dockerConfigJSON": {
        "exchange": {"pullSecret": {"namespaces": ["payments"], "dockerConfigJSON": "other"}}
    },
    "exchange.pullSecret.namespaces": {"exchange": {"pullSecret": {"dockerConfigJSON": "text"}}},
    "certificate.issuerRef.name": {"certificate": {"mode": "cert-manager"}},
    **{
        f"certificate.issuerRef.{value}": {"certificate": {"mode": "cert-manager", "issuerRef": {"name": "corporate"}}}
        for value in ("kind", "group")
    },
    "admission.hostNetwork": {"admission": {"port": 10260}},
    "egress.proxy.noProxy": {"egress": {"proxy": {"https": "proxy.example:3128"}}},
    "priorityClass.value": {"priorityClass": {"create": True}},
    **{
        f"{group}.{value}": {group: {"enabled": True}}
        for group, values in (
            ("networkPolicy", ("apiServerCIDRs", "apiServerPorts", "metricsFrom")),
            ("serviceMonitor", ("interval", "labels")),
            ("prometheusRule", ("labels", "disabled")),
            ("dashboard", ("labels", "annotations")),
        )
        for value in values
    },
}
"""What must be chosen too for a value to act."""

WHOLE: dict[str, Values] = {
    "defaults": {},
    "minimal": {
        "crds": {"enabled": False},
        "controller": {"replicas": 1, "topologySpreadConstraints": []},
        "admission": {"replicas": 1},
        "rbac": {"aggregate": False},
    },
    "everything": overlaid(OTHERWISE, {"crds": {"enabled": True}, "prometheusRule": {"disabled": []}}),
    **{path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "examples" / "values").glob("*.yaml"))},
}
"""Whole files of values: name to content."""


def single(path: tuple[str, ...]) -> Values:
    """Only the one value of `OTHERWISE`. Raises LookupError when there is none."""
    value: Any = OTHERWISE
    for key in path:
        if key not in value:
            raise LookupError(f"no other choice for {'.'.join(path)}: add one to OTHERWISE")
        value = value[key]
    for key in reversed(path):
        value = {key: value}
    made: Values = value
    return made
