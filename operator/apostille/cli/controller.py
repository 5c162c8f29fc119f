"""Runs the controller: statuses, webhook selection, policies, rendered access. One of several leads."""

from __future__ import annotations

import argparse
import base64
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apostille.rules.addresses import AddressPolicy


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    process_arguments(parser, service_account="apostille-controller")
    endpoint = parser.add_mutually_exclusive_group(required=True)
    endpoint.add_argument(
        "--admission-service", metavar="NAME[:PORT]", help="Service of the admission server, in --namespace"
    )
    endpoint.add_argument("--admission-url", metavar="URL", help="https URL of an admission server outside the cluster")
    parser.add_argument(
        "--ca-bundle", metavar="FILE", required=True, type=Path, help="PEM with which the API server checks it"
    )
    parser.add_argument(
        "--identity",
        metavar="NAME",
        default="",
        help="under which it leads, such as the pod's name; no two that run may have the same (default: random)",
    )
    parser.add_argument("--metrics-host", default="::", help="address of /livez, /readyz, /metrics (default: all)")
    parser.add_argument("--metrics-port", type=int, default=8080, help="their port (default: %(default)s)")


def process_arguments(parser: argparse.ArgumentParser, *, service_account: str) -> None:
    """Options that both processes have."""
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: in-cluster, then $KUBECONFIG")
    parser.add_argument(
        "--namespace", default="apostille-system", help="Apostille's own namespace (default: %(default)s)"
    )
    parser.add_argument("--service-account", default=service_account, help="own service account (default: %(default)s)")
    parser.add_argument(
        "--party-address",
        metavar="HOST|CIDR",
        action="append",
        default=[],
        help="where a self-hosted relying party may be: a name, *.DOMAIN or a network; default: anywhere that is not "
        "link-local, a metadata service, this cluster's API server or loopback",
    )
    parser.add_argument(
        "--allow-loopback", action="store_true", help="relying parties may be on loopback; for tests on one machine"
    )
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])


def address_policy(options: argparse.Namespace) -> AddressPolicy:
    """Exits with a message when an address is neither a name nor a network."""
    from apostille.rules.addresses import AddressPolicy

    try:
        return AddressPolicy.of(options.party_address, loopback=options.allow_loopback)
    except ValueError as error:
        raise SystemExit(f"apostille: --party-address: {error}") from None


def run(options: argparse.Namespace) -> int:
    """Until SIGTERM; 1 when it does not lead any more."""
    import asyncio

    from apostille.controller.run import run as run_controller
    from apostille.core.settings import ClusterSettings
    from apostille.kube.connection import Connection
    from apostille.telemetry.logging import configure

    configure(options.log_level)
    if options.admission_url:
        client_config: dict[str, object] = {"url": options.admission_url}
    else:
        name, _, port = options.admission_service.partition(":")
        client_config = {"service": {"name": name, "namespace": options.namespace, "port": int(port or 443)}}
    settings = ClusterSettings(
        own_namespace=options.namespace,
        client_config=client_config,
        addresses=address_policy(options),
        ca_bundle=base64.b64encode(options.ca_bundle.read_bytes()).decode(),
    )
    return asyncio.run(
        run_controller(
            Connection.load(options.kubeconfig),
            settings,
            options.service_account,
            identity=options.identity,
            metrics_host=options.metrics_host,
            metrics_port=options.metrics_port,
        )
    )
