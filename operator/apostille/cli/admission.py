"""Serves the admission webhooks: injection into pods, judgement of trusts and bindings. Stateless; run several."""

from __future__ import annotations

import argparse
from pathlib import Path

from apostille.cli.controller import address_policy, egress_proxy, process_arguments, rule_modes


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    process_arguments(parser, service_account="apostille-admission")
    parser.add_argument("--host", default="::", help="address to listen on (default: all)")
    parser.add_argument("--port", type=int, default=10250, help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--certificate",
        metavar="FILE",
        type=Path,
        help="PEM; read again when it changes. Default: from the Secret that the controller keeps in --namespace",
    )
    parser.add_argument("--key", metavar="FILE", type=Path, help="PEM of its private key")
    # Endpoints are updated seconds after a pod is told to stop: serve on until nobody asks any more.
    parser.add_argument(
        "--lame-duck", metavar="SECONDS", type=float, default=10.0,
        help="how long it serves on after SIGTERM, without being ready (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--exchange-metrics-port", type=int, default=0, metavar="N", help="sidecars serve /metrics there (default: not)"
    )
    parser.add_argument("--exchange-image", default="apostille-exchange:dev", help="image of the exchange sidecar")


def run(options: argparse.Namespace) -> int:
    """Until SIGTERM."""
    if (options.certificate is None) != (options.key is None):
        raise SystemExit("apostille: --certificate and --key go together")
    import asyncio

    from apostille.admission.certificates import Files, Secret
    from apostille.admission.server import serve
    from apostille.core.settings import InjectionSettings
    from apostille.kube.connection import Connection
    from apostille.telemetry.logging import configure

    configure(options.log_level)
    asyncio.run(
        serve(
            Connection.load(options.kubeconfig),
            InjectionSettings(
                exchange_image=options.exchange_image,
                metrics_port=options.exchange_metrics_port,
                egress_proxy=egress_proxy(options),
                egress_direct=tuple(options.egress_direct),
            ),
            own_namespace=options.namespace,
            service_account=options.service_account,
            host=options.host,
            port=options.port,
            certificate=Files(options.certificate, options.key) if options.certificate else Secret(options.namespace),
            lame_duck=options.lame_duck,
            addresses=address_policy(options),
            modes=rule_modes(options),
        )
    )
    return 0
