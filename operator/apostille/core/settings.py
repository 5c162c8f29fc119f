"""What an installation decides about injection and generated objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from apostille.rules.addresses import AddressPolicy
from apostille.rules.modes import Modes

# Their redirect of egress is in place before any other container starts, so a first exchange that ran before them
# would wait for a proxy that waits for us (design §4).
MESH_PROXIES = (
    "istio-proxy",
    "istio-init",
    "istio-validation",
    "linkerd-proxy",
    "linkerd-init",
    "linkerd-network-validator",
)


@dataclass(frozen=True, slots=True)
class InjectionSettings:
    """Of the sidecar. ``resources`` is a Kubernetes ResourceRequirements object."""

    exchange_image: str = "apostille-exchange:dev"
    image_pull_policy: str = "IfNotPresent"
    resources: Mapping[str, Any] = field(
        default_factory=lambda: {"requests": {"cpu": "5m", "memory": "24Mi"}, "limits": {"memory": "64Mi"}}
    )
    metrics_port: int = 0
    """Where the sidecar serves ``/metrics``, on all addresses of the pod; 0: nowhere."""
    mesh_proxies: tuple[str, ...] = MESH_PROXIES
    egress_proxy: str = ""
    """``HOST:PORT`` of the proxy by which it reaches relying parties; empty: itself."""
    egress_direct: tuple[str, ...] = ()
    """Names, with all below them, and networks that it reaches itself nevertheless."""


@dataclass(frozen=True, slots=True)
class CertificateSettings:
    """Of the admission server's certificate, where the controller keeps it.

    ``host`` is the name by which the API server verifies it. ``source`` is a Secret of somebody who issues them, such
    as cert-manager; empty: the controller does. ``inherited`` is one of an earlier version, which goes on for a day
    after an upgrade: a rollback then meets what it knows. ``settle``: how long an API server may take to hear of a
    webhook configuration. ``replicas`` are addresses (host, port) of admission servers; empty: the Deployment's pods.
    """

    host: str
    source: str = ""
    inherited: str = ""
    lifetime: timedelta = timedelta(days=90)
    settle: timedelta = timedelta(seconds=5)
    replicas: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Of generated cluster objects. ``client_config`` is a WebhookClientConfig without path and caBundle.

    ``owner`` is the ownerReference to the anchor; an uninstall then removes what was generated. ``addresses`` are where
    self-hosted relying parties may be, ``modes`` what is made of the rules, ``shards`` how many objects of a kind there
    may be. ``ca_bundle`` is base64 of PEM, as in a webhook configuration.
    """

    own_namespace: str
    client_config: Mapping[str, Any]
    ca_bundle: str
    owner: Mapping[str, Any] | None = None
    addresses: AddressPolicy = field(default_factory=AddressPolicy)
    modes: Modes = field(default_factory=Modes)
    shards: int = 16
