"""Runs the controller: statuses, webhook selection, policies, rendered access. One of several leads."""

from __future__ import annotations

import argparse
import base64
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apostille.core.settings import CertificateSettings
    from apostille.rules.addresses import AddressPolicy
    from apostille.rules.modes import Modes


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    process_arguments(parser, service_account="apostille-controller")
    endpoint = parser.add_mutually_exclusive_group(required=True)
    endpoint.add_argument(
        "--admission-service", metavar="NAME[:PORT]", help="Service of the admission server, in --namespace"
    )
    endpoint.add_argument("--admission-url", metavar="URL", help="https URL of an admission server outside the cluster")
    certificate = parser.add_mutually_exclusive_group()
    certificate.add_argument(
        "--ca-bundle",
        metavar="FILE",
        type=Path,
        help="PEM with which the API server checks it; default: its certificate is kept and renewed by this process, "
        "in a Secret of --namespace",
    )
    certificate.add_argument(
        "--certificate-source",
        metavar="SECRET",
        default="",
        help="Secret of --namespace with a certificate (tls.crt, tls.key, ca.crt) that somebody else issues and "
        "renews, such as cert-manager",
    )
    parser.add_argument(
        "--certificate-inherited", metavar="SECRET", default="",
        help="Secret with the certificate of version 0.1.0: served for a day after the upgrade, so that a rollback "
        "meets what it knows",
    )  # fmt: skip
    parser.add_argument(
        "--certificate-seconds", metavar="N", type=int, default=90 * 86400,
        help="for how long a certificate is made; it is renewed when a third is left (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--certificate-settle", metavar="SECONDS", type=float, default=5.0,
        help="how long an API server may take to hear of a changed caBundle (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--admission-replica", metavar="HOST:PORT", action="append", default=[],
        help="where one of several admission servers outside the cluster listens (default: at --admission-url)",
    )  # fmt: skip
    parser.add_argument(
        "--identity",
        metavar="NAME",
        default="",
        help="under which it leads, such as the pod's name; no two that run may have the same (default: random)",
    )
    parser.add_argument(
        "--shards",
        type=int,
        default=16,
        help="how many objects of a kind it may write, as far as its rights reach (default: %(default)s)",
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
        "--rule",
        metavar="ID=MODE",
        action="append",
        default=[],
        help="loosen or tighten a rule: off, warn or deny, as far as its page allows; repeatable",
    )
    parser.add_argument(
        "--allow-loopback", action="store_true", help="relying parties may be on loopback; for tests on one machine"
    )
    parser.add_argument(
        "--egress-proxy", metavar="HOST:PORT", default="",
        help="proxy by which sidecars reach relying parties (HTTP CONNECT); it resolves names, so that a self-hosted "
        "party must then be among --party-address by its name",
    )  # fmt: skip
    parser.add_argument(
        "--egress-direct", metavar="NAME|CIDR", action="append", default=[],
        help="what sidecars reach without it: a name and all below it, .DOMAIN, or a network; repeatable",
    )  # fmt: skip
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])


def address_policy(options: argparse.Namespace) -> AddressPolicy:
    """Exits with a message when an address is neither a name nor a network."""
    from apostille.rules.addresses import AddressPolicy

    try:
        return AddressPolicy.of(
            options.party_address,
            loopback=options.allow_loopback,
            proxied=bool(options.egress_proxy),
            direct=options.egress_direct,
        )
    except ValueError as error:
        raise SystemExit(f"apostille: --party-address: {error}") from None


def egress_proxy(options: argparse.Namespace) -> str:
    """Exits with a message when it is no HOST:PORT."""
    from apostille_exchange.proxy import parse

    if options.egress_proxy:
        try:
            parse(options.egress_proxy)
        except ValueError as error:
            raise SystemExit(f"apostille: --egress-proxy: {error}") from None
    return str(options.egress_proxy)


def certificate_settings(options: argparse.Namespace) -> CertificateSettings:
    """Exits with a message when an address has no port."""
    from datetime import timedelta
    from urllib.parse import urlsplit

    from apostille.core.settings import CertificateSettings

    if options.admission_url:
        at = urlsplit(options.admission_url)
        host, replicas = at.hostname or "", options.admission_replica or [f"{at.hostname}:{at.port or 443}"]
    else:
        name = options.admission_service.partition(":")[0]
        host, replicas = f"{name}.{options.namespace}.svc", options.admission_replica
    addresses = [replica.rpartition(":") for replica in replicas]
    if wrong := [replica for replica, (_, _, port) in zip(replicas, addresses, strict=True) if not port.isdigit()]:
        raise SystemExit(f"apostille: --admission-replica: {wrong[0]} is not HOST:PORT")
    return CertificateSettings(
        host=host,
        source=options.certificate_source,
        inherited=options.certificate_inherited,
        lifetime=timedelta(seconds=options.certificate_seconds),
        settle=timedelta(seconds=options.certificate_settle),
        replicas=tuple((at.strip("[]"), int(port)) for at, _, port in addresses),
    )


def rule_modes(options: argparse.Namespace) -> Modes:
    """Exits with a message when a rule or its mode is not possible."""
    from apostille.parties.registry import catalogue
    from apostille.rules.modes import Modes

    try:
        return Modes.of(options.rule, catalogue())
    except ValueError as error:
        raise SystemExit(f"apostille: --rule: {error}") from None


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
        modes=rule_modes(options),
        shards=options.shards,
        ca_bundle=base64.b64encode(options.ca_bundle.read_bytes()).decode() if options.ca_bundle else "",
    )
    return asyncio.run(
        run_controller(
            Connection.load(options.kubeconfig),
            settings,
            options.service_account,
            certificate=None if options.ca_bundle else certificate_settings(options),
            identity=options.identity,
            metrics_host=options.metrics_host,
            metrics_port=options.metrics_port,
        )
    )
