"""`python -m apostille_testbed.pods`: the pod runner on its own, until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import sys
import tempfile
from pathlib import Path

from apostille_testbed.pods.images import Image, standard_images
from apostille_testbed.pods.routes import Route
from apostille_testbed.pods.runner import PodRunner


def route(text: str) -> Route:
    """HOST[,HOST…]:PORT=ADDRESS:PORT. Raises ValueError."""
    names, target = text.split("=", 1)
    hosts, port = names.rsplit(":", 1)
    address, target_port = target.rsplit(":", 1)
    return Route(hosts.split(","), int(port), (address, int(target_port)))


def image(text: str) -> tuple[str, Image]:
    """PATTERN[=NAME:VALUE[,NAME:VALUE…]]: an image with these variables. Raises ValueError."""
    pattern, _, variables = text.partition("=")
    pairs = [pair.split(":", 1) for pair in variables.split(",") if pair]
    return pattern, Image(env=dict(pairs))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m apostille_testbed.pods", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True, help="an administrator's: binds pods to the node")
    parser.add_argument("--node-kubeconfig", type=Path, required=True, help="of system:node:NAME in system:nodes")
    parser.add_argument("--name", default="testbed", help="the node's name")
    parser.add_argument("--directory", type=Path, help="where pods live (default: a temporary one)")
    parser.add_argument("--namespace", action="append", help="schedule pods of this namespace only; repeatable")
    parser.add_argument("--image", type=image, action="append", metavar="PATTERN[=NAME:VALUE,…]")
    parser.add_argument("--ca", type=Path, help="the authorities that the standard images trust, as PEM")
    parser.add_argument("--route", type=route, action="append", default=[], metavar="HOST,…:PORT=ADDRESS:PORT")
    parser.add_argument("--no-isolation", action="store_true", help="do not use namespaces even where they can be had")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    wanted = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)  # before the runner's threads exist, which inherit it
    with contextlib.ExitStack() as stack:
        directory = options.directory or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="apostille-pods-", ignore_cleanup_errors=True))
        )
        runner = PodRunner(
            kubeconfig=options.kubeconfig,
            node_kubeconfig=options.node_kubeconfig,
            name=options.name,
            directory=directory,
            images={**standard_images(options.ca), **dict(options.image or ())},
            routes=options.route,
            namespaces=options.namespace,
            isolation=False if options.no_isolation else None,
        )
        stack.enter_context(runner)
        print(f"node {runner.name} is up", flush=True)
        signal.sigwait(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
