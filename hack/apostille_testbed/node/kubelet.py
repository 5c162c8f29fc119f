"""The configuration of kubelet and kube-proxy, and why each setting is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from apostille_testbed.node import cgroups, network

NAME = "node-1"
"""The name of the only node."""

DNS = "10.96.0.10"
"""What pods get as their name server; nothing answers there unless a test runs it."""

HEALTH_PORT = 10248

PROXY_HEALTH_PORT = 10256


def configuration(directory: Path, socket: str, ca: Path, pair: tuple[Path, Path]) -> str:
    """The kubelet's configuration file; it writes below ``directory``."""
    resolver = directory / "resolv.conf"
    resolver.write_text("")
    return _file(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "failCgroupV1": False,
            "failSwapOn": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": cgroups.ROOT,
            "containerRuntimeEndpoint": f"unix://{socket}",
            "address": network.NODE,
            "healthzBindAddress": network.NODE,
            "healthzPort": HEALTH_PORT,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(ca)},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(pair[0]),
            "tlsPrivateKeyFile": str(pair[1]),
            "clusterDomain": "cluster.local",
            "clusterDNS": [DNS],
            "resolvConf": str(resolver),
            "podLogsDir": str(directory / "logs"),
            # A full disk of the machine is not the pods' business, and images are all we have.
            "evictionHard": {
                "memory.available": "100Mi",
                "nodefs.available": "1%",
                "nodefs.inodesFree": "1%",
                "imagefs.available": "1%",
            },
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "serializeImagePulls": False,
            "registryPullQPS": 0,
            "eventRecordQPS": 0,
            "maxPods": 110,
        }
    )


def proxy_configuration(kubeconfig: Path) -> str:
    """kube-proxy's configuration file."""
    return _file(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "hostnameOverride": NAME,
            "mode": "iptables",
            "clusterCIDR": network.POD_RANGE,
            "bindAddress": network.NODE,
            "healthzBindAddress": f"{network.NODE}:{PROXY_HEALTH_PORT}",
            "metricsBindAddress": f"{network.NODE}:10249",
            # These belong to the machine.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "iptables": {"minSyncPeriod": "0s", "syncPeriod": "30s"},
        }
    )


def _file(configuration: dict[str, Any]) -> str:
    return json.dumps(configuration, indent=2)
