"""Serves the admission webhooks: injection into pods, judgement of trusts and bindings. Stateless; run several."""

from __future__ import annotations

import argparse
from pathlib import Path

from apostille.cli.controller import address_policy, process_arguments


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options."""
    process_arguments(parser, service_account="apostille-admission")
    parser.add_argument("--host", default="::", help="address to listen on (default: all)")
    parser.add_argument("--port", type=int, default=10250, help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--certificate", metavar="FILE", required=True, type=Path, help="PEM; read again when it changes"
    )
    parser.add_argument("--key", metavar="FILE", required=True, type=Path, help="PEM of its private key")
    parser.add_argument(
        "--exchange-metrics-port", type=int, default=0, metavar="N", help="sidecars serve /metrics there (default: not)"
    )
    parser.add_argument("--exchange-image", default="apostille-exchange:dev", help="image of the exchange sidecar")


def run(options: argparse.Namespace) -> int:
    """Until SIGTERM."""
    import asyncio

    from apostille.admission.server import serve
    from apostille.core.settings import InjectionSettings
    from apostille.kube.connection import Connection
    from apostille.telemetry.logging import configure

    configure(options.log_level)
    asyncio.run(
        serve(
            Connection.load(options.kubeconfig),
            InjectionSettings(exchange_image=options.exchange_image, metrics_port=options.exchange_metrics_port),
            own_namespace=options.namespace,
            service_account=options.service_account,
            host=options.host,
            port=options.port,
            certificate=options.certificate,
            key=options.key,
            addresses=address_policy(options),
        )
    )
    return 0
